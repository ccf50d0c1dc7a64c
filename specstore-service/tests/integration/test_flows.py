from datetime import UTC, datetime

import pytest

from chassis.strictjson import dumps


@pytest.fixture
def other_headers(client, a_token):
    return {"Auth-Token": a_token("ben")}


def test_new_flow_is_queued(api, a_spec):
    flow = api.create_flow()
    status = api.get(flow).json
    assert list(status["pipelines"]) == [
        f"{flow}/validation_report", f"{flow}/reds_csv", f"{flow}/reds_json", f"{flow}/wines_zip",
        f"{flow}/reds_csv_preview", f"{flow}/reds", flow,
    ]  # fmt: skip
    assert status["pipelines"][flow] == {
        "title": "Creating Package", "kind": "final", "status": "QUEUED", "stats": {}, "log": [], "error_log": [],
        "needs": [pipeline for pipeline in status["pipelines"] if pipeline != flow], "started": None, "finished": None,
    }  # fmt: skip
    assert status["modified"].endswith("Z") and datetime.fromisoformat(status["modified"]) <= datetime.now(UTC)
    del status["pipelines"], status["modified"]
    assert status == {
        "id": flow, "event_ref": None, "spec_contents": a_spec(), "state": "QUEUED", "logs": [], "error_log": [],
        "stats": {"bytes": None, "count_of_rows": None, "dataset_name": "wines", "hash": None},
    }  # fmt: skip


def finish_all(api, flow, success=True):
    for pipeline in api.get(flow).json["pipelines"]:
        api.finish(pipeline, success)


def test_latest_and_successful_refer_to_revisions(api):
    first, second = api.create_flow(), api.create_flow()
    assert api.get("ann/wines/latest").json["id"] == second
    assert api.get("ann/wines/successful").status_code == 404
    finish_all(api, first)
    finish_all(api, second, success=False)
    assert api.get("ann/wines/successful").json["id"] == first


@pytest.mark.parametrize(
    "path", ["ann/wines/3", "ann/nothing/1", "unknown/wines/1", "ann/wines/999999999", "unknown", "ann/unknown"]
)
def test_unknown_owner_dataset_or_revision_is_not_found(api, path):
    api.create_flow()
    assert api.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["ann/wines/0", "ann/wines/-1", "ann/wines/01", "ann/wines/99999999999999999999", "ann/wines/1.0",
     "ann/wines/Latest", "ann/wines/１", "ann/wines/%20", "ann/../1",
     "ann/%2e%2e/1", "%00/wines/1", "ann/wines/1'--", "a%ff/wines/1"],
)  # fmt: skip
def test_invalid_revision_is_rejected(client, api, path):
    api.create_flow()
    response = client.get(f"/source/{path}", environ_overrides={"RAW_URI": f"/source/{path}"})
    assert response.status_code in (400, 404) and response.json["detail"]


def test_private_flow_looks_unknown_without_its_owners_token(client, api, other_headers):
    flow = api.create_flow(findability="private")
    expected = client.get("/source/ann/unknown/1").json
    for path in (flow, "ann/wines/latest", "ann/wines", "ann"):
        for headers in ({}, other_headers, {"Auth-Token": "x"}):
            response = client.get(f"/source/{path}", headers=headers)
            assert response.status_code == 404
            assert {**response.json, "instance": ""} == {**expected, "instance": ""}
        assert api.get(path).status_code == 200


def test_newest_upload_determines_visibility_and_private_revisions_stay_private(client, api):
    private, published = api.create_flow(findability="private"), api.create_flow()
    assert client.get(f"/source/{private}").status_code == 404
    assert client.get(f"/source/{published}").status_code == 200
    assert [revision["id"] for revision in client.get("/source/ann/wines").json["revisions"]] == [published]
    assert client.get("/source/ann/wines").json["total"] == 1
    api.create_flow(findability="private")
    assert client.get(f"/source/{published}").status_code == 404


def dataset_names(response):
    return [dataset["dataset"] for dataset in response.json["datasets"]]


def test_lists_include_unlisted_and_private_datasets_for_the_owner_only(client, api, other_headers):
    for name, findability in (("a", "published"), ("b", "unlisted"), ("c", "private")):
        api.create_flow(dataset=name, findability=findability)
    for headers in ({}, other_headers):
        assert dataset_names(client.get("/source/ann", headers=headers)) == ["a"]
    assert dataset_names(api.get("ann")) == ["a", "b", "c"]
    assert client.get("/source/ann/b").status_code == 200


def test_lists_are_paginated_with_a_total(api):
    for name in ("a", "b", "c"):
        api.create_flow(dataset=name, schedule="every 1d")
    api.create_flow(dataset="a")
    response = api.get("ann?limit=1&offset=1")
    page = response.json
    assert dataset_names(response) == ["b"] and page["total"] == 3
    assert page["datasets"][0]["every_seconds"] == 86400 and page["datasets"][0]["due_at"].endswith("Z")
    revisions = api.get("ann/a?limit=1").json
    assert revisions["total"] == 2
    assert (revisions["revisions"][0]["revision"], revisions["revisions"][0]["state"]) == (2, "QUEUED")
    assert api.get("ann?limit=0").status_code == 400
    assert api.get("ann?jwt=x&jwt=y").status_code == 400


def test_get_on_a_post_path_is_not_allowed(client):
    for name in ("upload", "update", "plan"):
        response = client.get(f"/source/{name}")
        assert response.status_code == 405 and "POST" in response.headers["Allow"]


def test_cancel_fails_unfinished_pipelines_only(api, outbox_bodies):
    flow = api.create_flow()
    api.finish(f"{flow}/reds_csv")
    api.finish(f"{flow}/wines_zip")
    response = api.post(f"{flow}/cancel").json
    assert response == {"id": flow, "state": "FAILED", "cancelled": 6}
    pipelines = api.get(flow).json["pipelines"]
    assert pipelines[f"{flow}/reds_csv"]["status"] == "SUCCEEDED"
    assert {pipeline["status"] for pipeline in pipelines.values()} == {"SUCCEEDED", "FAILED"}
    assert pipelines[flow]["error_log"][0] == "cancelled"
    assert api.post(f"{flow}/cancel").json["cancelled"] == 0
    api.finish(flow)
    (finished,) = outbox_bodies("FlowFinished")
    assert finished["payload"]["success"] is False and finished["payload"]["errors"][0] == "cancelled"


def test_retry_creates_a_new_revision_of_the_same_spec(api, a_spec):
    first = api.create_flow(note=1)
    api.create_flow(note=2, schedule="every 1d")
    assert api.post(f"{first}/retry").json == {
        "success": True, "dataset_id": "ann/wines", "flow_id": "ann/wines/3", "errors": [],
    }  # fmt: skip
    assert api.get("ann/wines/3").json["spec_contents"] == a_spec(note=1)
    assert api.get("ann").json["datasets"][0]["every_seconds"] == 86400
    assert api.post("ann/wines/latest/retry", **{"Idempotency-Key": "k"}).json["flow_id"] == "ann/wines/4"
    assert api.post("ann/wines/latest/retry", **{"Idempotency-Key": "k"}).json["flow_id"] == "ann/wines/4"
    assert api.post("ann/wines/9/retry").json["success"] is False


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_only_the_owner_may_cancel_or_retry(client, api, other_headers, action):
    api.create_flow(findability="private")
    for path in ("ann/wines/1", "ann/unknown/1"):
        assert client.post(f"/source/{path}/{action}").status_code == 401
        assert client.post(f"/source/{path}/{action}", headers=other_headers).status_code == 403
    assert api.post(f"ann/unknown/1/{action}").status_code == 404
    assert api.get("ann/wines/latest").json["state"] == "QUEUED"
    assert "sql" not in dumps(client.post("/source/ann/wines/1'/cancel").json).lower()


@pytest.mark.parametrize("revision", ["abc", "0", "01", "-1", "1.0", "+1", "LATEST", "2147483648", "9" * 50, "１"])
def test_anything_that_is_not_a_revision_is_unknown(client, api, revision):
    api.create_flow()
    for response in (
        client.get(f"/source/ann/wines/{revision}"),
        client.get(f"/source/ann/wines/{revision}/data/datapackage.json"),
        api.get(f"ann/wines/{revision}"),
        api.post(f"ann/wines/{revision}/cancel"),
        api.post(f"ann/wines/{revision}/retry"),
    ):
        assert response.status_code == 404, response.json
    assert api.post(f"ann/wines/{revision}/retry").json["success"] is False
