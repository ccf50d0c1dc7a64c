import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from specstore_service.operations import scheduling

DAY = timedelta(days=1)
# The spec is valid field by field, but cannot be planned.
UNKNOWN_INPUT = {"input": "nothing", "output": "reds"}


@pytest.fixture
def run_due(db):
    def run_due(now):
        with db.transaction() as tx:
            scheduling.run_due(tx, now, is_external=False)

    return run_due


def due_time(api, dataset="wines"):
    (row,) = [row for row in api.get("ann").json["datasets"] if row["dataset"] == dataset]
    return row["due_at"] and datetime.fromisoformat(row["due_at"])


def count_revisions(api, dataset="wines"):
    return api.get(f"ann/{dataset}").json["total"]


def test_due_dataset_runs_once(api, a_spec, run_due, outbox_bodies):
    api.create_flow(schedule="every 1d", note="first")
    due = due_time(api)
    run_due(due - timedelta(seconds=1))
    assert count_revisions(api) == 1
    run_due(due)
    run_due(due)
    assert count_revisions(api) == 2
    assert api.get("ann/wines/2").json["spec_contents"] == a_spec(schedule="every 1d", note="first")
    assert due_time(api) == due + DAY
    queued = outbox_bodies("FlowQueued")[-1]
    assert (queued["payload"]["flow_id"], queued["trigger"]) == ("ann/wines/2", {"type": "timer", "name": "schedules"})


def test_missed_runs_are_made_up_by_a_single_run(api, run_due):
    api.create_flow(schedule="every 1d")
    due = due_time(api)
    run_due(due + 3 * DAY + timedelta(hours=7))
    assert count_revisions(api) == 2 and due_time(api) == due + 4 * DAY
    run_due(due + 4 * DAY)
    assert count_revisions(api) == 3


def test_newest_upload_replaces_or_removes_the_schedule(api, run_due):
    api.create_flow(schedule="every 1d", note=1)
    api.create_flow(schedule="every 1w", note=2)
    due = due_time(api)
    assert due > datetime.now(UTC) + 6 * DAY
    api.post("ann/wines/1/retry")
    run_due(due)
    assert api.get("ann/wines/latest").json["spec_contents"]["note"] == 2
    api.create_flow()
    assert due_time(api) is None
    run_due(due + 100 * DAY)
    assert count_revisions(api) == 5


def test_concurrent_workers_run_each_due_dataset_once(db, api):
    for number in range(30):
        api.create_flow(dataset=f"d{number}", schedule="every 1h")
    now = datetime.now(UTC) + timedelta(hours=1, seconds=1)
    barrier = threading.Barrier(4)

    def run_due_repeatedly():
        barrier.wait()
        for _ in range(5):
            with db.transaction() as tx:
                scheduling.run_due(tx, now, is_external=False)

    threads = [threading.Thread(target=run_due_repeatedly) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [count_revisions(api, f"d{number}") for number in range(30)] == [2] * 30


@pytest.mark.parametrize("change", [lambda spec: spec.clear(), lambda spec: spec.update(processing=[UNKNOWN_INPUT])])
def test_spec_that_is_no_longer_valid_does_not_block_others(api, db, a_spec, run_due, change):
    api.create_flow(dataset="a", schedule="every 1h")
    api.create_flow(dataset="b", schedule="every 1h")
    spec = a_spec(dataset="a", schedule="every 1h")
    change(spec)
    with db.transaction() as tx:
        tx.run("UPDATE flows SET spec = %(spec)s WHERE name = 'ann/a/1'", spec=json.dumps(spec))
    run_due(datetime.now(UTC) + timedelta(hours=2))
    assert (count_revisions(api, "a"), count_revisions(api, "b")) == (1, 2)


def test_concurrent_uploads_and_scheduled_runs_leave_no_gap(app, api, db, a_spec):
    api.create_flow(schedule="every 1h")

    def upload():
        for _ in range(15):
            body = a_spec(schedule="every 1h")
            assert app.test_client().post("/source/upload", json=body, headers=api.headers).status_code == 200

    threads = [threading.Thread(target=upload) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with db.transaction() as tx:
            scheduling.run_due(tx, datetime.now(UTC) + timedelta(hours=2), is_external=False)
    for thread in threads:
        thread.join()
    latest = api.get("ann/wines/latest").json["id"]
    assert latest == f"ann/wines/{count_revisions(api)}" and count_revisions(api) >= 31


def test_white_space_of_a_schedule_is_ignored(api, client):
    api.create_flow(schedule="  every    4d   ")
    assert client.get("/source/ann").json["datasets"][0]["every_seconds"] == 4 * 86400
