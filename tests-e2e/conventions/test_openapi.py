"""Rules of the common contract that every OpenAPI document keeps: lists are paged alike, and creations accept a key."""

import yaml

# A repeat of these requests has the same effect, or they create nothing.
WITHOUT_KEY = {
    "/api/v1/streams/{stream}/consumers/{consumer}/parked/replay",
    "/api/v1/streams/{stream}/consumers/{consumer}/parked/{event}/replay",
    "/auth/token",
    "/source/plan",
    "/source/update",
    "/source/{owner}/{dataset}/{revision}/cancel",
}


def parameters(service, method):
    """Return the parameters of each operation with this method, by path and name."""
    document = yaml.safe_load((service.folder / "openapi.yaml").read_text())
    shared = {f"#/components/parameters/{name}": part for name, part in document["components"]["parameters"].items()}
    all_parameters = {
        path: [shared.get(parameter.get("$ref"), parameter) for parameter in operations[method]["parameters"]]
        for path, operations in document["paths"].items()
        if method in operations
    }
    return {path: {part["name"]: part for part in parts} for path, parts in all_parameters.items()}


def test_lists_return_100_items_and_at_most_1000(service):
    limits = [by_name["limit"] for by_name in parameters(service, "get").values() if "limit" in by_name]
    assert limits
    for limit in limits:
        assert (limit["schema"]["minimum"], limit["schema"]["maximum"]) == (1, 1000)
        # Clients of event-service state how many events they read.
        assert limit.get("required") or limit["schema"]["default"] == 100


def test_every_post_that_creates_something_accepts_an_idempotency_key(service):
    without_key = {path for path, by_name in parameters(service, "post").items() if "Idempotency-Key" not in by_name}
    assert without_key <= WITHOUT_KEY
