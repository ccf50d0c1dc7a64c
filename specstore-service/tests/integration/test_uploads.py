import threading

import pytest


def test_upload_creates_the_next_revision_of_its_dataset(api, outbox_bodies):
    assert api.upload().json == {
        "success": True, "dataset_id": "ann/wines", "flow_id": "ann/wines/1", "errors": [],
    }  # fmt: skip
    assert api.create_flow(findability="unlisted") == "ann/wines/2"
    assert api.create_flow(dataset="beers") == "ann/beers/1"
    assert [body["payload"] for body in outbox_bodies("FlowQueued")] == [
        {"flow_id": "ann/wines/1"}, {"flow_id": "ann/wines/2"}, {"flow_id": "ann/beers/1"},
    ]  # fmt: skip


def test_upload_queues_pipelines_without_dependencies(api, outbox_bodies):
    flow = api.create_flow()
    ready = [f"{flow}/{name}" for name in ("validation_report", "reds_csv", "reds_json", "reds")]
    assert outbox_bodies("specstore.pipeline") == [{"flow": flow, "pipeline": pipeline} for pipeline in ready]


def test_each_revision_keeps_its_own_spec(api, a_spec):
    first, second = a_spec(note="ünï 1e2"), a_spec(note={"deep": [1.5, None, True]})
    api.upload(first)
    api.upload(second)
    assert api.get("ann/wines/1").json["spec_contents"] == first
    assert api.get("ann/wines/2").json["spec_contents"] == second


def test_token_in_the_query_is_accepted(client, a_spec, a_token):
    assert client.post(f"/source/upload?jwt={a_token()}", json=a_spec()).status_code == 200


def assert_rejected(response, status, *errors):
    assert response.status_code == status, response.json
    assert response.json == {"success": False, "dataset_id": None, "flow_id": None, "errors": list(errors)}


UNAUTHORIZED = "No token or token not authorised for owner"
EMPTY_CONTENTS = "Received empty contents (make sure your content-type is correct)"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"", "application/json"), (b"{}", "application/json"), (b"{}", "text/plain"), (b"x", None),
     (b"[]", "application/json"), (b"null", "application/json"), (b"meta: 1", "application/yaml")],
)  # fmt: skip
def test_empty_contents_are_rejected(client, api, body, content_type):
    assert_rejected(
        client.post("/source/upload", data=body, content_type=content_type, headers=api.headers), 400, EMPTY_CONTENTS
    )


@pytest.mark.parametrize("meta", [None, {}, {"owner": "Ann"}, {"ownerid": "ann"}, {"owner": "", "ownerid": "ann"}, 5])
def test_spec_without_an_owner_is_rejected(api, a_spec, meta):
    assert_rejected(api.upload({**a_spec(), "meta": meta}), 400, "Missing owner in spec")
    assert_rejected(api.upload([1]), 400, "Missing owner in spec")


def test_upload_without_a_valid_token_is_unauthorized(client, a_spec):
    assert_rejected(client.post("/source/upload", json=a_spec()), 401, UNAUTHORIZED)
    assert_rejected(client.post("/source/upload", json=a_spec(), headers={"Auth-Token": "x.y.z"}), 401, UNAUTHORIZED)


def test_token_of_another_owner_is_forbidden(client, a_spec, a_token):
    assert_rejected(
        client.post("/source/upload", json=a_spec(), headers={"Auth-Token": a_token("ben")}), 403, UNAUTHORIZED
    )


def test_all_invalid_fields_are_named(api, a_spec):
    spec = a_spec(findability="x", dataset="a b")
    assert [error.split(": ")[:2] for error in api.upload(spec).json["errors"]] == [
        ["Validation failed for contents", "meta.dataset"],
        ["Validation failed for contents", "meta.findability"],
    ]


def test_schedule_error_is_returned_unchanged(api, a_spec):
    assert_rejected(api.upload(a_spec(schedule="every 5s")), 400, "Can't schedule tasks for less than one minute")
    assert_rejected(api.upload(a_spec(schedule=7)), 400, "Schedule should be a string")


def test_colliding_names_are_rejected_and_nothing_is_created(api, a_spec, outbox):
    resources = [{"name": "a", "path": "a.csv"}, {"name": "a_csv", "path": "b.csv"}]
    response = api.upload(a_spec(resources=resources))
    assert response.status_code == 400 and "a_csv" in response.json["errors"][0]
    assert api.get().status_code == 404
    assert outbox() == []


def test_rejected_upload_uses_no_revision_number(api, a_spec):
    api.upload()
    api.upload(a_spec(outputs=[{"kind": "x"}]))
    assert api.create_flow() == "ann/wines/2"


def test_exceeded_plan_limit_allows_only_new_revisions(client, api, a_spec, a_token):
    api.headers = {"Auth-Token": a_token(max_datasets=2)}
    for name in ("a", "b"):
        api.create_flow(dataset=name)
    assert_rejected(api.upload(a_spec(dataset="c")), 403, "Max datasets for user exceeded plan limit (2)")
    assert api.create_flow(dataset="a") == "ann/a/2"
    api.headers = {"Auth-Token": a_token(max_datasets=0)}
    assert api.create_flow(dataset="b") == "ann/b/2"


def run_concurrently(app, count, request):
    """Send `count` requests that start together and return their results in order."""
    barrier, results = threading.Barrier(count), [None] * count

    def send(number):
        client = app.test_client()
        barrier.wait()
        results[number] = request(client, number)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_concurrent_uploads_create_consecutive_revisions(app, api, a_spec):
    for dataset in (f"d{number}" for number in range(5)):

        def upload(client, number, dataset=dataset):
            return client.post("/source/upload", json=a_spec(dataset=dataset, note=number), headers=api.headers)

        responses = run_concurrently(app, 20, upload)
        assert sorted(int(response.json["flow_id"].split("/")[2]) for response in responses) == list(range(1, 21))
        for number, response in enumerate(responses):
            assert api.get(response.json["flow_id"]).json["spec_contents"]["note"] == number


def test_concurrent_uploads_cannot_exceed_the_plan_limit(app, a_spec, a_token):
    for owner in (f"o{number}" for number in range(5)):
        token = a_token(owner, max_datasets=10)

        def upload(client, number, owner=owner, token=token):
            spec = a_spec(owner=owner, dataset=f"d{number}")
            return client.post("/source/upload", json=spec, headers={"Auth-Token": token}).status_code

        assert sorted(run_concurrently(app, 20, upload)) == [200] * 10 + [403] * 10


def test_repeated_idempotency_key_returns_the_same_revision(api, a_spec):
    first = api.upload(**{"Idempotency-Key": "k"})
    repeated = api.upload(**{"Idempotency-Key": "k"})
    assert repeated.json == first.json and repeated.headers["Idempotent-Replayed"] == "true"
    response = api.upload(a_spec(dataset="other"), **{"Idempotency-Key": "k"})
    assert response.status_code == 422 and response.json["success"] is False
    assert api.create_flow() == "ann/wines/2"


def test_plan_of_a_spec_creates_nothing(client, api, a_spec, outbox):
    planned = client.post("/source/plan", json=a_spec()).json
    assert planned["flow_id"] == "ann/wines/1"
    assert [pipeline["id"] for pipeline in planned["pipelines"]] == [
        "ann/wines/1/validation_report", "ann/wines/1/reds_csv", "ann/wines/1/reds_json", "ann/wines/1/wines_zip",
        "ann/wines/1/reds_csv_preview", "ann/wines/1/reds", "ann/wines/1",
    ]  # fmt: skip
    assert planned["pipelines"][4] == {
        "id": "ann/wines/1/reds_csv_preview", "title": "Generating views", "kind": "derived/preview",
        "needs": ["ann/wines/1/reds_csv"],
    }  # fmt: skip
    assert api.get().status_code == 404 and outbox() == []
    api.upload()
    assert client.post("/source/plan", json=a_spec()).json["flow_id"] == "ann/wines/2"


def test_plan_does_not_reveal_a_private_dataset(client, api, a_spec):
    api.create_flow(findability="private")
    assert client.post("/source/plan", json=a_spec()).json["flow_id"] == "ann/wines/1"
    assert client.post("/source/plan", json=a_spec(), headers=api.headers).json["flow_id"] == "ann/wines/2"


def test_plan_of_an_invalid_spec_is_rejected(client, a_spec):
    response = client.post("/source/plan", json=a_spec(dataset=""))
    assert response.status_code == 400
    assert [error["field"] for error in response.json["errors"]] == ["meta.dataset"]
    assert client.post("/source/plan", data="x", content_type="text/plain").status_code == 415


def test_unsupported_property_is_named_by_the_upload(api, a_spec):
    resource = {"name": "reds", "path": "reds.csv", "dialect": {"foo": 1}}
    response = api.upload(a_spec(resources=[resource]))
    field = "inputs.0.parameters.descriptor.resources.0.dialect.foo"
    assert response.status_code == 400
    assert response.json["errors"] == [f"Validation failed for contents: {field}: is not a known parameter"]
    assert api.get("ann/wines/latest").status_code == 404
