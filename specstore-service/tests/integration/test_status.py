import pytest

from chassis.strictjson import dumps


@pytest.fixture
def other(client, a_token):
    return {"Auth-Token": a_token("ben")}


def test_a_new_flow_is_queued(api, a_spec):
    flow = api.uploaded()
    status = api.status(flow).json
    assert list(status["pipelines"]) == [
        f"{flow}/validation_report", f"{flow}/reds_csv", f"{flow}/reds_json", f"{flow}/wines_zip",
        f"{flow}/reds_csv_preview", f"{flow}/reds", flow,
    ]  # fmt: skip
    assert status["pipelines"][flow] == {
        "title": "Creating Package", "status": "QUEUED", "stats": {}, "error_log": [],
    }  # fmt: skip
    del status["pipelines"], status["modified"]
    assert status == {
        "id": flow, "event_ref": None, "spec_contents": a_spec(), "state": "QUEUED", "logs": [], "error_log": [],
        "stats": {"bytes": None, "count_of_rows": None, "dataset_name": "wines", "hash": None},
    }  # fmt: skip


def finish_all(api, flow, success=True):
    for pipeline in api.status(flow).json["pipelines"]:
        api.finish(pipeline, success)


def test_latest_and_successful_are_revisions_too(api):
    first, second = api.uploaded(), api.uploaded()
    assert api.status("ann/wines/latest").json["id"] == second
    assert api.status("ann/wines/successful").status_code == 404
    finish_all(api, first)
    finish_all(api, second, success=False)
    assert api.status("ann/wines/successful").json["id"] == first


@pytest.mark.parametrize("path", ["ann/wines/3", "ann/nothing/1", "nobody/wines/1", "ann/wines/999999999"])
def test_what_is_not_there_is_404(api, path):
    api.uploaded()
    assert api.status(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["ann/wines/0", "ann/wines/-1", "ann/wines/01", "ann/wines/99999999999999999999", "ann/wines/1.0",
     "ann/wines/Latest", "ann/wines/１", "ann/wines/%20", "ann/../1",
     "ann/%2e%2e/1", "%00/wines/1", "ann/wines/1'--", "a%ff/wines/1"],
)  # fmt: skip
def test_what_can_be_no_revision_is_a_wrong_request(client, api, path):
    api.uploaded()
    answer = client.get(f"/source/{path}", environ_overrides={"RAW_URI": f"/source/{path}"})
    assert answer.status_code in (400, 404) and answer.json["detail"]


def test_private_is_unknown_without_the_owners_token(client, api, other):
    flow = api.uploaded(findability="private")
    expected = client.get("/source/ann/unknown/1").json
    for path in (flow, "ann/wines/latest", "ann/wines", "ann"):
        for headers in ({}, other, {"Auth-Token": "x"}):
            answer = client.get(f"/source/{path}", headers=headers)
            assert answer.status_code == 404
            assert {**answer.json, "instance": ""} == {**expected, "instance": ""}
        assert api.status(path).status_code == 200


def test_the_newest_upload_says_who_may_see_and_what_was_private_stays_so(client, api):
    private, published = api.uploaded(findability="private"), api.uploaded()
    assert client.get(f"/source/{private}").status_code == 404
    assert client.get(f"/source/{published}").status_code == 200
    assert [it["id"] for it in client.get("/source/ann/wines").json["revisions"]] == [published]
    assert client.get("/source/ann/wines").json["total"] == 1
    api.uploaded(findability="private")
    assert client.get(f"/source/{published}").status_code == 404


def test_lists_have_what_is_unlisted_and_private_for_the_owner_only(client, api, other):
    for name, findability in (("a", "published"), ("b", "unlisted"), ("c", "private")):
        api.uploaded(dataset=name, findability=findability)
    for headers in ({}, other):
        assert [it["dataset"] for it in client.get("/source/ann", headers=headers).json["datasets"]] == ["a"]
    assert [it["dataset"] for it in api.status("ann").json["datasets"]] == ["a", "b", "c"]
    assert client.get("/source/ann/b").status_code == 200


def test_lists_come_in_pages_and_say_how_many_there_are(api):
    for name in ("a", "b", "c"):
        api.uploaded(dataset=name, schedule="every 1d")
    api.uploaded(dataset="a")
    page = api.status("ann?limit=1&offset=1").json
    assert [it["dataset"] for it in page["datasets"]] == ["b"] and page["total"] == 3
    assert page["datasets"][0]["every_seconds"] == 86400 and page["datasets"][0]["due_at"].endswith("Z")
    revisions = api.status("ann/a?limit=1").json
    assert revisions["total"] == 2
    assert (revisions["revisions"][0]["revision"], revisions["revisions"][0]["state"]) == (2, "QUEUED")
    assert api.status("ann?limit=0").status_code == 400
    assert api.status("ann?jwt=x&jwt=y").status_code == 400


def test_a_place_that_is_posted_to_is_not_read(client):
    for name in ("upload", "update", "plan"):
        answer = client.get(f"/source/{name}")
        assert answer.status_code == 405 and "POST" in answer.headers["Allow"]


def test_cancel_ends_what_has_not_ended(api, outbox_of):
    flow = api.uploaded()
    api.finish(f"{flow}/reds_csv")
    api.finish(f"{flow}/wines_zip")
    answer = api.post(f"{flow}/cancel").json
    assert answer == {"id": flow, "state": "FAILED", "cancelled": 6}
    pipelines = api.status(flow).json["pipelines"]
    assert pipelines[f"{flow}/reds_csv"]["status"] == "SUCCEEDED"
    assert {it["status"] for it in pipelines.values()} == {"SUCCEEDED", "FAILED"}
    assert pipelines[flow]["error_log"][0] == "cancelled"
    assert api.post(f"{flow}/cancel").json["cancelled"] == 0
    api.finish(flow)
    (finished,) = outbox_of("FlowFinished")
    assert finished["payload"]["success"] is False and finished["payload"]["errors"][0] == "cancelled"


def test_retry_makes_a_new_revision_of_the_same_spec(api, a_spec):
    first = api.uploaded(note=1)
    api.uploaded(note=2, schedule="every 1d")
    assert api.post(f"{first}/retry").json == {
        "success": True, "dataset_id": "ann/wines", "flow_id": "ann/wines/3", "errors": [],
    }  # fmt: skip
    assert api.status("ann/wines/3").json["spec_contents"] == a_spec(note=1)
    assert api.status("ann").json["datasets"][0]["every_seconds"] == 86400
    assert api.post("ann/wines/latest/retry", **{"Idempotency-Key": "k"}).json["flow_id"] == "ann/wines/4"
    assert api.post("ann/wines/latest/retry", **{"Idempotency-Key": "k"}).json["flow_id"] == "ann/wines/4"
    assert api.post("ann/wines/9/retry").json["success"] is False


@pytest.mark.parametrize("what", ["cancel", "retry"])
def test_only_the_owner_may(client, api, other, what):
    api.uploaded(findability="private")
    for path in ("ann/wines/1", "ann/unknown/1"):
        assert client.post(f"/source/{path}/{what}").status_code == 401
        assert client.post(f"/source/{path}/{what}", headers=other).status_code == 403
    assert api.post(f"ann/unknown/1/{what}").status_code == 404
    assert api.status("ann/wines/latest").json["state"] == "QUEUED"
    assert "sql" not in dumps(client.post("/source/ann/wines/1'/cancel").json).lower()
