"""Undoing imports: the orders that they created are deleted."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from chassis.errors import Invalid
from chassis.messaging.delivery import Delivery
from chassis.messaging.message_processor import Interrupted, JobContext
from orders_service.handlers import on_undo_requested
from orders_service.operations.deletions import run_undo

PATH = "/acme_orders/api/v1/orders/import"
UNKNOWN = "8bd73d8d-8019-4bec-aaf9-0a04a343f1b0"
UPDATE = "?on_duplicate=update"


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr("orders_service.operations.deletions._MAX_ORDERS_PER_STEP", 7)


@pytest.fixture
def request_undo(client):
    return lambda task, **headers: client.delete(f"{PATH}/{task}", headers=headers)


def run_job(db, task):
    return run_undo(db, task, lambda: datetime.now(UTC), lambda: False)


@pytest.fixture
def undo(db, request_undo, api):
    """Return a function that undoes an import as the worker does, and returns the status of the undo."""

    def undo(task):
        assert request_undo(task).status_code == 202
        assert run_job(db, task)
        return api.status(task)["undo"]

    return undo


@pytest.fixture
def deliver(db, settings):
    """Return a function that processes a job as the worker does; setting its `stop_event` stops the worker."""
    stop_event = threading.Event()

    def process(body):
        context = JobContext(db, settings, stop_event)
        on_undo_requested(context, Delivery("orders.undo", "", "orders.undo", "orders", "r", {}, body))

    process.stop_event = stop_event
    return process


def list_ids(api):
    return [order["id"] for order in api.orders(limit=1000).json["result"]]


def test_undone_import_has_no_orders_and_others_keep_theirs(api, build_csv, build_row, undo, outbox):
    ids = [-(2**63), *range(0, 100, 2), 2**63 - 1]
    first = api.run_import(build_csv(*(build_row(id, state="NJ") for id in ids)))
    api.run_import(build_csv(*(build_row(id) for id in range(1, 100, 2))))
    status = undo(first["task_id"])
    assert (status["status"], status["deleted"], status["not_restored"]) == ("SUCCESS", 52, 0)
    assert status["requested_at"] and status["finished_at"]
    assert list_ids(api) == list(range(1, 100, 2))
    assert (api.orders(state="NJ").json["total"], api.orders().json["total"]) == (0, 50)
    (event,) = [body for name, body in outbox() if name == "OrdersImportUndone"]
    assert (event["payload"]["task_id"], event["payload"]["deleted"]) == (first["task_id"], 52)


def test_request_returns_the_location_of_the_status_and_the_number_of_orders_not_restored(
    api, build_csv, build_row, request_undo
):
    api.run_import(build_csv(build_row(1), build_row(2)))
    task = api.run_import(build_csv(build_row(1), build_row(2), build_row(3)), UPDATE)["task_id"]
    response = request_undo(task)
    assert (response.status_code, response.headers["Location"]) == (202, f"{PATH}/status/{task}")
    undo = response.json["result"]["undo"]
    assert (undo["status"], undo["deleted"], undo["not_restored"], undo["finished_at"]) == ("PENDING", 0, 2, None)
    assert response.json["message"] == "undoing the import; updated orders that are not restored: 2"


def test_updated_orders_are_kept_as_they_are(api, build_csv, build_row, undo):
    api.run_import(build_csv(build_row(1, name="old")))
    task = api.run_import(build_csv(build_row(1, name="new"), build_row(2)), UPDATE)["task_id"]
    status = undo(task)
    assert (status["deleted"], status["not_restored"]) == (1, 1)
    assert [(order["id"], order["name"]) for order in api.orders().json["result"]] == [(1, "new")]


def test_orders_that_a_later_import_updated_are_deleted_with_the_import_that_created_them(
    api, build_csv, build_row, undo
):
    created = api.run_import(build_csv(build_row(1), build_row(2)))["task_id"]
    updated = api.run_import(build_csv(build_row(2, name="new"), build_row(3)), UPDATE)["task_id"]
    assert undo(created)["deleted"] == 2
    assert list_ids(api) == [3]
    status = undo(updated)
    assert (status["deleted"], status["not_restored"], list_ids(api)) == (1, 1, [])


def test_orders_of_an_undone_import_can_be_imported_again(api, build_csv, build_row, undo, counts_of):
    content = build_csv(*(build_row(id) for id in range(20)))
    undo(api.run_import(content)["task_id"])
    second = api.run_import(content)
    assert counts_of(second) == (20, 0, 0, 0)
    assert undo(second["task_id"])["deleted"] == 20


def test_order_that_was_deleted_and_imported_again_belongs_to_the_later_import(api, client, build_csv, build_row, undo):
    first = api.run_import(build_csv(build_row(1), build_row(2)))["task_id"]
    assert client.delete("/acme_orders/api/v1/orders/1").status_code == 204
    api.run_import(build_csv(build_row(1)))
    assert undo(first)["deleted"] == 1
    assert list_ids(api) == [1]


def test_cancelled_import_can_be_undone(api, client, build_csv, build_row, undo, monkeypatch):
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 25)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 25)
    task = api.start_import(build_csv(*(build_row(id) for id in range(20))))
    api.run_slice(task)
    client.delete(f"{PATH}/status/{task}")
    stored = api.finish(task)["valid"]
    assert 0 < stored < 20
    assert undo(task)["deleted"] == stored


def test_import_without_orders_can_be_undone(api, build_csv, undo):
    assert undo(api.run_import(build_csv("broken"))["task_id"])["status"] == "SUCCESS"


def test_running_import_cannot_be_undone(api, build_csv, build_row, request_undo):
    task = api.start_import(build_csv(build_row(1)))
    response = request_undo(task)
    assert response.status_code == 409
    assert response.json["message"] == "the import is still running; cancel it first, or wait until it has ended"
    assert api.status(task)["undo"] is None


def test_dry_run_cannot_be_undone(api, build_csv, build_row, request_undo):
    response = request_undo(api.run_import(build_csv(build_row(1)), "?dry_run=1")["task_id"])
    assert (response.status_code, response.json["message"]) == (409, "the import was a dry run, which stores no orders")


def test_repeated_request_is_rejected_while_and_after_the_undo(api, db, build_csv, build_row, request_undo):
    task = api.run_import(build_csv(build_row(1)))["task_id"]
    request_undo(task)
    repeated = request_undo(task)
    assert (repeated.status_code, repeated.json["message"]) == (409, "the import is already being undone")
    run_job(db, task)
    repeated = request_undo(task)
    assert (repeated.status_code, repeated.json["message"]) == (409, "the import has already been undone")


def test_repeated_key_returns_the_first_response(api, build_csv, build_row, request_undo, outbox):
    task = api.run_import(build_csv(build_row(1)))["task_id"]
    first, second = (request_undo(task, **{"Idempotency-Key": "undo"}) for _ in range(2))
    assert (second.status_code, second.json, second.headers["Idempotent-Replayed"]) == (202, first.json, "true")
    assert [name for name, _ in outbox()].count("orders.undo") == 1


@pytest.mark.parametrize("task", [UNKNOWN, "x", "%00"])
def test_unknown_import_is_not_found(request_undo, task):
    assert request_undo(task).status_code in (400, 404)


def test_import_of_the_previous_version_cannot_be_undone(api, db, build_csv, build_row, request_undo):
    task = api.run_import(build_csv(build_row(1)))["task_id"]
    with db.transaction() as tx:
        # As a worker of the previous version stores them.
        tx.run("UPDATE orders SET import_number = NULL")
        tx.run("UPDATE imports SET created = 0, first_id = NULL, last_id = NULL")
    response = request_undo(task)
    assert response.status_code == 409
    assert "earlier version" in response.json["message"]
    assert list_ids(api) == [1]


def test_stopping_worker_leaves_the_rest_to_another_worker(api, build_csv, build_row, request_undo, deliver):
    task = api.run_import(build_csv(*(build_row(id) for id in range(30))))["task_id"]
    request_undo(task)
    deliver.stop_event.set()
    with pytest.raises(Interrupted):
        deliver({"task_id": task})
    assert len(list_ids(api)) == 30
    deliver.stop_event.clear()
    deliver({"task_id": task})
    assert (list_ids(api), api.status(task)["undo"]["status"]) == ([], "SUCCESS")


def test_malformed_and_unknown_jobs_change_nothing(api, build_csv, build_row, deliver):
    task = api.run_import(build_csv(build_row(1)))["task_id"]
    for body in (None, [], {}, {"task_id": "x"}):
        with pytest.raises(Invalid):
            deliver(body)
    # No undo of this import was requested.
    deliver({"task_id": task})
    deliver({"task_id": UNKNOWN})
    assert list_ids(api) == [1]


def test_job_delivered_concurrently_has_one_effect(api, db, build_csv, build_row, request_undo, outbox):
    task = api.run_import(build_csv(*(build_row(id) for id in range(200))))["task_id"]
    request_undo(task)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: run_job(db, task), range(3)))
    assert api.status(task)["undo"]["deleted"] == 200
    assert [name for name, _ in outbox()].count("OrdersImportUndone") == 1


@pytest.mark.fault
def test_undo_killed_at_any_statement_deletes_each_order_once(
    api, client, db, build_csv, build_row, request_undo, kill_after, outbox
):
    task = api.run_import(build_csv(*(build_row(id, state=("NJ", "TX")[id % 2]) for id in range(0, 400, 2))))["task_id"]
    api.run_import(build_csv(*(build_row(id) for id in range(1, 400, 2))))
    request_undo(task)
    kills = 0
    while api.status(task)["undo"]["status"] != "SUCCESS":
        kills += 1
        with kill_after(kills * 5 % 24 + 1):
            run_job(db, task)
        assert client.get("/invariants").json["status"] == "OK"
    assert kills > 5
    assert api.status(task)["undo"]["deleted"] == 200
    assert list_ids(api) == list(range(1, 400, 2))
    assert [name for name, _ in outbox()].count("OrdersImportUndone") == 1


def test_undo_is_complete_while_another_import_updates_the_same_orders(
    api, db, build_csv, build_row, request_undo, run_slice_with_retries, monkeypatch
):
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 750)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 250)
    ids = list(range(1000))
    undone = api.run_import(build_csv(*(build_row(id) for id in ids)))["task_id"]
    lines = [build_row(ids[index * 7 % 1000], name="updated", zipcode=f"1000{index % 7}") for index in ids]
    updating = api.start_import(build_csv(*lines), UPDATE)
    request_undo(undone)
    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(run_job, db, undone), threads.submit(run_slice_with_retries, updating)]
        assert jobs[0].result() is True
        jobs[1].result()
    undo, status = api.status(undone)["undo"], api.status(updating)
    assert (undo["status"], undo["deleted"], status["valid"]) == ("SUCCESS", 1000, 1000)
    # What the undo deleted first was created again.
    assert api.orders().json["total"] == 1000 - status["updated"]
