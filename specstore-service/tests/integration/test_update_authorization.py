"""Runners and admins may update all pipelines and read the plan; an owner may update pipelines of its own flows."""

import pytest

RUNNER_ROLES = ("admin", "runner")
OTHER_ROLES = pytest.mark.parametrize("role", ["", "writer", "reader", "Admin", "administrator"])


@pytest.fixture(params=["published", "private"])
def flow(request, api):
    return api.create_flow(findability=request.param)


def failing_update(pipeline):
    return {"pipeline": pipeline, "event": "finish", "success": False, "errors": ["sabotage"]}


def comparable(response):
    """Return everything in a response that does not differ between any two requests."""
    headers = {name: value for name, value in response.headers.items() if name != "X-Request-ID"}
    return response.status_code, response.data, headers


@pytest.mark.parametrize("role", RUNNER_ROLES)
def test_runner_and_admin_may_update_every_flow(client, api, flow, role):
    response = client.post("/source/update", json=failing_update(flow), headers={"X-Authenticated-Role": role})
    assert (response.status_code, response.json["id"]) == (200, flow)
    assert api.get(flow).json["error_log"][0] == "sabotage"


def test_owner_may_update_with_the_token_in_header_or_query(client, api, flow, a_token):
    body = {"pipeline": f"./{flow}", "event": "start"}
    assert client.post("/source/update", json=body, headers=api.headers).json["status"] == "running"
    assert client.post(f"/source/update?jwt={a_token()}", json=body).json["id"] == flow


@pytest.mark.parametrize("role", RUNNER_ROLES)
def test_runner_and_admin_may_read_the_plan_of_every_flow(client, flow, role):
    plan = client.get("/source/pipelines", headers={"X-Authenticated-Role": role})
    assert (plan.status_code, {pipeline["flow_id"] for pipeline in plan.json["pipelines"]}) == (200, {flow})


@OTHER_ROLES
def test_plan_is_not_found_for_other_roles(client, flow, a_token, role):
    headers = {"X-Authenticated-User": "ann", "X-Authenticated-Role": role, "Auth-Token": a_token()}
    response = client.get("/source/pipelines", headers=headers)
    unknown = client.get("/source/unknown", headers=headers)
    assert response.status_code == 404
    assert {**response.json, "instance": ""} == {**unknown.json, "instance": ""}


@OTHER_ROLES
@pytest.mark.parametrize("has_token", [False, True])
def test_update_by_other_roles_is_not_found_and_changes_nothing(
    client, api, flow, a_token, role, has_token, outbox, db
):
    headers = {"X-Authenticated-User": "ben", "X-Authenticated-Role": role}
    if has_token:
        headers["Auth-Token"] = a_token("ben")
    initial_status, message_count = api.get(flow).json, len(outbox())
    for pipeline in (flow, f"./{flow}", f"{flow}/reds_csv"):
        response = client.post("/source/update", json=failing_update(pipeline), headers=headers)
        unknown = client.post("/source/update", json=failing_update(f"{pipeline}x"), headers=headers)
        assert response.status_code == 404
        assert response.json == {"success": "fail", "status": "failed", "id": None, "errors": ["pipeline not found"]}
        assert comparable(response) == comparable(unknown)
    assert api.get(flow).json == initial_status and len(outbox()) == message_count


def test_token_of_a_similarly_named_owner_grants_no_access(client, api, flow, a_token):
    for other in ("an", "anna", "ANN"):
        response = client.post("/source/update", json=failing_update(flow), headers={"Auth-Token": a_token(other)})
        assert response.status_code == 404


def test_invalid_token_is_rejected_identically_for_existing_and_unknown_pipelines(client, api, flow):
    for token in ("x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."):
        existing, unknown = (
            client.post("/source/update", json=failing_update(pipeline), headers={"Auth-Token": token})
            for pipeline in (flow, f"{flow}x")
        )
        assert existing.status_code == 401
        assert comparable(existing) == comparable(unknown)
    assert api.get(flow).json["state"] == "QUEUED"
