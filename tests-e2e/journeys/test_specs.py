"""A spec goes in, a data package comes out."""

import csv
import io
import secrets

import pytest

from quintet_e2e.clients import Client, all_at_once, done
from quintet_e2e.faults import assert_healed
from quintet_e2e.specs import ROWS, Owner
from quintet_e2e.streams import events_of
from quintet_testing.waiting import eventually

AT_ONCE = 20


@pytest.fixture
def owner(client):
    return Owner(client)


def test_a_spec_becomes_a_data_package(stack, client, owner):
    dataset = owner.new_dataset()
    flow = owner.upload(dataset)
    assert flow == f"{owner.id}/{dataset}/1"
    status = owner.ended(flow)
    assert (status["state"], status["error_log"]) == ("SUCCEEDED", [])
    assert {pipeline["status"] for pipeline in status["pipelines"].values()} == {"SUCCEEDED"}
    assert status["stats"]["count_of_rows"] == len(ROWS) and status["stats"]["hash"]
    package = done(client.get(f"/source/{flow}/data/datapackage.json"))
    paths = [resource["path"] for resource in package["resources"]]
    table = next(path for path in paths if path.endswith(".csv"))
    answer = client.get(f"/source/{flow}/data/{table}")
    assert answer.ok and [{**row, "year": int(row["year"])} for row in csv.DictReader(io.StringIO(answer.text))] == ROWS
    eventually(lambda: owner.told(flow)[-1:] == ["FlowFinished"])
    assert owner.told(flow) == ["FlowQueued", "FlowStarted", "FlowFinished"]
    assert_healed(stack)


def test_a_wrong_row_is_named_and_fails_what_needs_it(owner):
    flow = owner.upload(owner.new_dataset(), rows=[*ROWS, {"name": "Merlot", "year": "last year"}])
    status = owner.ended(flow)
    assert status["state"] == "FAILED"
    assert any("year" in text for text in status["pipelines"][f"{flow}/validation_report"]["error_log"])
    assert any("Dependency unsuccessful" in text for text in status["pipelines"][flow]["error_log"])


def test_a_cancelled_flow_ends_at_once(client, owner):
    flow = owner.upload(owner.new_dataset())
    done(client.post(f"/source/{flow}/cancel", headers=owner.headers))
    status = owner.status(flow)
    assert status["state"] in ("FAILED", "SUCCEEDED")
    if status["state"] == "FAILED":
        assert "cancelled" in status["error_log"]
    again = done(client.post(f"/source/{flow}/retry", headers=owner.headers))["flow_id"]
    assert owner.ended(again)["state"] == "SUCCEEDED"


def test_uploads_at_once_are_revisions_without_a_gap(client, owner):
    dataset = owner.new_dataset()
    flows = all_at_once(AT_ONCE, lambda _: owner.upload(dataset))
    assert sorted(flows) == sorted(f"{owner.id}/{dataset}/{number}" for number in range(1, AT_ONCE + 1))
    for flow in flows:
        done(client.post(f"/source/{flow}/cancel", headers=owner.headers))
    assert owner.revisions(dataset) == list(range(AT_ONCE, 0, -1))


def test_a_retry_with_the_same_key_is_the_same_revision(client, owner):
    dataset = owner.new_dataset()
    headers = owner.headers | {"Idempotency-Key": dataset}

    def upload(_):
        return client.post("/source/upload", headers=headers, json=owner.spec(dataset))

    answers = all_at_once(AT_ONCE, upload)
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert done(upload(0))["flow_id"] == f"{owner.id}/{dataset}/1"
    assert owner.revisions(dataset) == [1]
    done(client.post(f"/source/{owner.id}/{dataset}/1/cancel", headers=owner.headers))


def test_what_is_private_is_its_owners_and_another_may_not_upload_in_his_name(stack, client, owner):
    name = f"ben-{secrets.token_hex(4)}"
    other = Client(stack, name, stack.add_user(name, "writer"))
    theirs, dataset = Owner(other), owner.new_dataset()
    private = owner.spec(dataset)
    private["meta"]["findability"] = "private"
    flow = done(client.post("/source/upload", headers=owner.headers, json=private))["flow_id"]
    assert owner.status(flow)["id"] == flow
    for path in (flow, f"{flow}/data/datapackage.json", f"{owner.id}/{dataset}"):
        assert other.get(f"/source/{path}").status_code == 404
        assert other.get(f"/source/{path}", headers=theirs.headers).status_code == 404
    assert other.post("/source/upload", headers=theirs.headers, json=private).status_code == 403
    assert other.post(f"/source/{flow}/cancel", headers=theirs.headers).status_code == 403
    assert other.get("/source/pipelines").status_code == 403
    failure = {"event": "finish", "success": False}
    for pipeline in (flow, f"{flow}x"):
        response = other.post("/source/update", headers=theirs.headers, json={"pipeline": pipeline, **failure})
        assert (response.status_code, response.json()["errors"]) == (404, ["pipeline not found"])
    status = owner.ended(flow)
    assert status["state"] == "SUCCEEDED"
    names = ["FlowQueued", "FlowStarted", "FlowFinished"]
    eventually(lambda: owner.told(status["event_ref"]) == names)
    assert not [event for event in events_of(other, "specstore") if dataset in str(event["payload"])]
    other.close()
