"""Imports of orders through the gateway, from the file to the events: one, repeated and concurrent ones."""

import time

import pytest

from quintet_e2e import orders
from quintet_e2e.clients import attempt_request, background_threads, ok_json, run_concurrently
from quintet_e2e.faults import assert_recovered
from quintet_e2e.stacks import ALSO_ON_REPLICAS
from quintet_e2e.streams import read_events
from quintet_testing.waiting import eventually

SAMPLE_COUNTS = {"valid": 62, "invalid": 137, "duplicates": 2, "rejected": 0}
CONCURRENT_ROWS = 120_000
LARGE_ROWS = 100_000
UPLOADERS, READERS, MIN_REQUESTS = 3, 2, 200


def as_body(content):
    return {"data": content, "headers": orders.CSV, "params": {"file_name": "sample.csv"}}


def as_form(content):
    return {"files": {"csv_file": ("sample.csv", content)}}


def events_of_import(client, task_id):
    return [event for event in read_events(client, "orders") if event["payload"]["task_id"] == task_id]


@ALSO_ON_REPLICAS
@pytest.mark.parametrize("request_options", [as_body, as_form])
def test_sample_is_imported_and_published(stack, client, request_options):
    content = orders.sample_file(orders.first_unused_id())
    response = client.put(f"{orders.API}/import", **request_options(content))
    assert response.status_code == 202
    started = response.json()["result"]
    assert response.headers["Location"] == f"{orders.API}/import/status/{started['task_id']}"
    status = orders.wait_for_end(client, started["task_id"])
    assert (status["status"], status["file_name"]) == ("SUCCESS", "sample.csv")
    assert orders.row_counts(status) == SAMPLE_COUNTS
    assert status["batch_no"] == started["batch_no"] is not None
    errors = orders.get_errors(client, started["task_id"])
    assert len(errors) == 1 + SAMPLE_COUNTS["invalid"] + SAMPLE_COUNTS["duplicates"]
    eventually(lambda: len(events_of_import(client, started["task_id"])) == 2)
    start, end = events_of_import(client, started["task_id"])
    assert [event["event"]["name"] for event in (start, end)] == ["OrdersImportStarted", "OrdersImported"]
    assert {event["request_id"] for event in (start, end)} == {response.headers["X-Request-ID"]}
    assert end["payload"]["batch_no"] == started["batch_no"]
    assert orders.row_counts(end["payload"]) == SAMPLE_COUNTS


@ALSO_ON_REPLICAS
def test_repeated_file_changes_nothing(stack, client):
    first_id, count = orders.first_unused_id(), 500
    content = orders.orders_file(first_id, count)
    orders.wait_for_end(client, orders.upload(client, content))
    before = orders.stored_summary(stack, first_id, count)
    repeated = orders.wait_for_end(client, orders.upload(client, content))
    assert orders.row_counts(repeated) == {"valid": 0, "invalid": 0, "duplicates": count, "rejected": 0}
    assert orders.stored_summary(stack, first_id, count) == before
    assert before[:2] == (count, orders.expected_counts(count)["valid"])


@ALSO_ON_REPLICAS
@pytest.mark.fault
def test_import_continues_without_sequence_service_and_receives_batch_number_later(stack, client):
    stack.stop("sequence-web")
    try:
        task_id = orders.upload(client, orders.orders_file(orders.first_unused_id(), 8))
        status = orders.wait_for_end(client, task_id)
        assert (status["status"], status["batch_no"]) == ("SUCCESS", None)
    finally:
        stack.start("sequence-web")
    eventually(lambda: orders.get_status(client, task_id)["batch_no"] is not None, 60)
    assert_recovered(stack)


@pytest.mark.fault
def test_concurrent_imports_of_same_ids_store_each_order_once(stack, client):
    first_id = orders.first_unused_id()
    content = orders.orders_file(first_id, CONCURRENT_ROWS)
    header, *rows = content.splitlines(keepends=True)
    contents = (content, header + b"".join(reversed(rows)))
    # With the worker stopped, both imports wait and then start at the same moment.
    stack.stop("orders-worker")
    task_ids = run_concurrently(2, lambda number: orders.upload(client, contents[number]))
    stack.start("orders-worker")
    results = [orders.wait_for_end(client, task_id) for task_id in task_ids]
    assert [result["status"] for result in results] == ["SUCCESS"] * 2
    print([orders.row_counts(result) for result in results])
    assert sum(result["duplicates"] for result in results) == CONCURRENT_ROWS
    count, valid, _ = orders.stored_summary(stack, first_id, CONCURRENT_ROWS)
    assert (count, valid) == (CONCURRENT_ROWS, sum(result["valid"] for result in results))
    for result in results:
        errors = orders.get_errors(client, result["task_id"])
        assert len(errors) == 1 + result["invalid"] + result["duplicates"]
    assert_recovered(stack)


@pytest.mark.slow
def test_small_requests_are_served_during_uploads_and_imports(stack, client):
    content, task_ids, seconds = orders.orders_file(orders.first_unused_id(), LARGE_ROWS), [], []

    def work(number):
        if number < UPLOADERS:
            task_ids.append(orders.upload(client, content, dry_run="1"))
            return
        for path in ("/sequence", f"{orders.API}?limit=20", f"{orders.API}/import/status?limit=5"):
            attempt = attempt_request(lambda path=path: client.get(path))
            ok_json(attempt.response)
            seconds.append(attempt.seconds)
        time.sleep(0.02)

    with background_threads(UPLOADERS + READERS, work):
        eventually(lambda: len(seconds) >= MIN_REQUESTS and len(task_ids) >= UPLOADERS, 120)
    seconds.sort()
    median, p99 = seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.99)]
    print(f"{len(task_ids)} uploads, {len(seconds)} requests: median {median:.3f} s, p99 {p99:.3f} s")
    for task_id in task_ids:
        assert orders.wait_for_end(client, task_id)["current"] == LARGE_ROWS
    assert_recovered(stack)
