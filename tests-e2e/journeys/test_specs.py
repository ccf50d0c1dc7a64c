"""Uploaded specs become data packages."""

import csv
import io
import secrets

import pytest

from quintet_e2e.clients import Client, ok_json, run_concurrently
from quintet_e2e.faults import assert_recovered
from quintet_e2e.specs import ROWS, Owner
from quintet_e2e.stacks import ALSO_ON_REPLICAS
from quintet_e2e.streams import read_events
from quintet_testing.waiting import eventually

CONCURRENT_UPLOADS = 20


@pytest.fixture
def owner(client):
    return Owner(client)


@ALSO_ON_REPLICAS
def test_spec_becomes_data_package(stack, client, owner):
    dataset = owner.new_dataset_name()
    flow = owner.upload(dataset)
    assert flow == f"{owner.id}/{dataset}/1"
    status = owner.wait_for_end(flow)
    assert (status["state"], status["error_log"]) == ("SUCCEEDED", [])
    assert {pipeline["status"] for pipeline in status["pipelines"].values()} == {"SUCCEEDED"}
    assert status["stats"]["count_of_rows"] == len(ROWS) and status["stats"]["hash"]
    package = ok_json(client.get(f"/source/{flow}/data/datapackage.json"))
    paths = [resource["path"] for resource in package["resources"]]
    table = next(path for path in paths if path.endswith(".csv"))
    response = client.get(f"/source/{flow}/data/{table}")
    assert (
        response.ok
        and [{**row, "year": int(row["year"])} for row in csv.DictReader(io.StringIO(response.text))] == ROWS
    )
    eventually(lambda: owner.event_names(flow)[-1:] == ["FlowFinished"])
    assert owner.event_names(flow) == ["FlowQueued", "FlowStarted", "FlowFinished"]
    assert_recovered(stack)


@ALSO_ON_REPLICAS
@pytest.mark.slow
def test_invalid_row_is_reported_and_fails_dependent_pipelines(owner):
    flow = owner.upload(owner.new_dataset_name(), rows=[*ROWS, {"name": "Merlot", "year": "last year"}])
    status = owner.wait_for_end(flow)
    assert status["state"] == "FAILED"
    assert any("year" in text for text in status["pipelines"][f"{flow}/validation_report"]["error_log"])
    assert any("Dependency unsuccessful" in text for text in status["pipelines"][flow]["error_log"])


@ALSO_ON_REPLICAS
@pytest.mark.slow
def test_canceled_flow_ends_immediately_and_can_be_retried(client, owner):
    flow = owner.upload(owner.new_dataset_name())
    ok_json(client.post(f"/source/{flow}/cancel", headers=owner.headers))
    status = owner.get_status(flow)
    assert status["state"] in ("FAILED", "SUCCEEDED")
    if status["state"] == "FAILED":
        assert "cancelled" in status["error_log"]
    retried = ok_json(client.post(f"/source/{flow}/retry", headers=owner.headers))["flow_id"]
    assert owner.wait_for_end(retried)["state"] == "SUCCEEDED"


@ALSO_ON_REPLICAS
@pytest.mark.slow
def test_concurrent_uploads_become_revisions_without_gaps(client, owner):
    dataset = owner.new_dataset_name()
    flows = run_concurrently(CONCURRENT_UPLOADS, lambda _: owner.upload(dataset))
    assert sorted(flows) == sorted(f"{owner.id}/{dataset}/{number}" for number in range(1, CONCURRENT_UPLOADS + 1))
    for flow in flows:
        ok_json(client.post(f"/source/{flow}/cancel", headers=owner.headers))
    assert owner.list_revisions(dataset) == list(range(CONCURRENT_UPLOADS, 0, -1))


@pytest.mark.slow
def test_retries_with_same_key_create_one_revision(client, owner):
    dataset = owner.new_dataset_name()
    headers = owner.headers | {"Idempotency-Key": dataset}

    def upload(_):
        return client.post("/source/upload", headers=headers, json=owner.spec(dataset))

    responses = run_concurrently(CONCURRENT_UPLOADS, upload)
    assert {response.status_code for response in responses} <= {200, 409}
    assert ok_json(upload(0))["flow_id"] == f"{owner.id}/{dataset}/1"
    assert owner.list_revisions(dataset) == [1]
    ok_json(client.post(f"/source/{owner.id}/{dataset}/1/cancel", headers=owner.headers))


@pytest.mark.slow
def test_private_dataset_is_visible_and_writable_to_owner_only(stack, client, owner):
    name = f"ben-{secrets.token_hex(4)}"
    other = Client(stack, name, stack.add_user(name, "writer"))
    other_owner, dataset = Owner(other), owner.new_dataset_name()
    private = owner.spec(dataset)
    private["meta"]["findability"] = "private"
    flow = ok_json(client.post("/source/upload", headers=owner.headers, json=private))["flow_id"]
    assert owner.get_status(flow)["id"] == flow
    for path in (flow, f"{flow}/data/datapackage.json", f"{owner.id}/{dataset}"):
        assert other.get(f"/source/{path}").status_code == 404
        assert other.get(f"/source/{path}", headers=other_owner.headers).status_code == 404
    assert other.post("/source/upload", headers=other_owner.headers, json=private).status_code == 403
    assert other.post(f"/source/{flow}/cancel", headers=other_owner.headers).status_code == 403
    assert other.get("/source/pipelines").status_code == 403
    failure = {"event": "finish", "success": False}
    for pipeline in (flow, f"{flow}x"):
        response = other.post("/source/update", headers=other_owner.headers, json={"pipeline": pipeline, **failure})
        assert (response.status_code, response.json()["errors"]) == (404, ["pipeline not found"])
    status = owner.wait_for_end(flow)
    assert status["state"] == "SUCCEEDED"
    names = ["FlowQueued", "FlowStarted", "FlowFinished"]
    eventually(lambda: owner.event_names(status["event_ref"]) == names)
    assert not [event for event in read_events(other, "specstore") if dataset in str(event["payload"])]
    other.close()
