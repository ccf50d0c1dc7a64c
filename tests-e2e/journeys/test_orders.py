"""Orders through the gateway, from the file to the event, and several at once."""

import time

import pytest

from quintet_e2e import orders
from quintet_e2e.clients import all_at_once, attempt, crowd, done
from quintet_e2e.faults import assert_healed
from quintet_e2e.streams import events_of
from quintet_testing.waiting import eventually

SAMPLE_FATES = {"valid": 62, "invalid": 137, "duplicates": 2, "rejected": 0}
TOLD_WITHIN = 30
MANY = 120_000
BIG = 100_000
UPLOADERS, ASKERS, ENOUGH = 3, 2, 200
NOT_SLOWER_THAN = 3


def as_body(content):
    return {"data": content, "headers": orders.CSV, "params": {"file_name": "sample.csv"}}


def as_form(content):
    return {"files": {"csv_file": ("sample.csv", content)}}


def events_about(client, task_id):
    return [event for event in events_of(client, "orders") if event["payload"]["task_id"] == task_id]


@pytest.mark.parametrize("sent", [as_body, as_form])
def test_the_sample_goes_in_and_is_told_as_an_event(stack, client, sent):
    content = orders.sample(orders.new_ids())
    answer = client.put(f"{orders.API}/import", **sent(content))
    assert answer.status_code == 202
    started = answer.json()["result"]
    assert answer.headers["Location"] == f"{orders.API}/import/status/{started['task_id']}"
    status = orders.ended(client, started["task_id"])
    assert (status["status"], status["file_name"]) == ("SUCCESS", "sample.csv")
    assert orders.fates_in(status) == SAMPLE_FATES
    assert status["batch_no"] == started["batch_no"] is not None
    errors = orders.errors_of(client, started["task_id"])
    assert len(errors) == 1 + SAMPLE_FATES["invalid"] + SAMPLE_FATES["duplicates"]
    eventually(lambda: len(events_about(client, started["task_id"])) == 2, TOLD_WITHIN)
    begun, ended = events_about(client, started["task_id"])
    assert [event["event"]["name"] for event in (begun, ended)] == ["OrdersImportStarted", "OrdersImported"]
    assert {event["request_id"] for event in (begun, ended)} == {answer.headers["X-Request-ID"]}
    assert ended["payload"]["batch_no"] == started["batch_no"]
    assert orders.fates_in(ended["payload"]) == SAMPLE_FATES


def test_the_same_file_again_changes_nothing(stack, client):
    first, count = orders.new_ids(), 500
    content = orders.orders(first, count)
    orders.ended(client, orders.upload(client, content))
    before = orders.stored(stack, first, count)
    again = orders.ended(client, orders.upload(client, content))
    assert orders.fates_in(again) == {"valid": 0, "invalid": 0, "duplicates": count, "rejected": 0}
    assert orders.stored(stack, first, count) == before
    assert before[:2] == (count, orders.fates_of(count)["valid"])


def test_while_sequence_service_is_down_the_import_goes_on_and_the_number_comes_later(stack, client):
    stack.stop("sequence-web")
    try:
        task_id = orders.upload(client, orders.orders(orders.new_ids(), 8))
        status = orders.ended(client, task_id)
        assert (status["status"], status["batch_no"]) == ("SUCCESS", None)
    finally:
        stack.start("sequence-web")
    eventually(lambda: orders.status_of(client, task_id)["batch_no"] is not None, 60)
    assert_healed(stack)


def test_of_two_imports_at_once_with_the_same_ids_each_order_is_stored_once(stack, client):
    first = orders.new_ids()
    content = orders.orders(first, MANY)
    head, *rows = content.splitlines(keepends=True)
    contents = (content, head + b"".join(reversed(rows)))
    # Both wait, so that they begin at the same moment.
    stack.stop("orders-worker")
    tasks = all_at_once(2, lambda number: orders.upload(client, contents[number]))
    stack.start("orders-worker")
    ends = [orders.ended(client, task_id) for task_id in tasks]
    assert [end["status"] for end in ends] == ["SUCCESS"] * 2
    print([orders.fates_in(end) for end in ends])
    assert sum(end["duplicates"] for end in ends) == MANY
    count, valid, _ = orders.stored(stack, first, MANY)
    assert (count, valid) == (MANY, sum(end["valid"] for end in ends))
    for end in ends:
        reported = orders.errors_of(client, end["task_id"])
        assert len(reported) == 1 + end["invalid"] + end["duplicates"]
    assert_healed(stack)


def test_small_requests_stay_quick_while_files_come_in_and_are_imported(stack, client):
    content, uploads, seconds = orders.orders(orders.new_ids(), BIG), [], []

    def work(number):
        if number < UPLOADERS:
            uploads.append(orders.upload(client, content, dry_run="1"))
            return
        for path in ("/sequence", f"{orders.API}?limit=20", f"{orders.API}/import/status?limit=5"):
            tried = attempt(lambda path=path: client.get(path))
            done(tried.answer)
            seconds.append(tried.seconds)
        time.sleep(0.02)

    with crowd(UPLOADERS + ASKERS, work):
        eventually(lambda: len(seconds) >= ENOUGH and len(uploads) >= UPLOADERS, 120)
    ordered = sorted(seconds)
    median, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    print(f"{len(uploads)} uploads, {len(ordered)} requests: median {median:.3f} s, p99 {p99:.3f} s")
    assert p99 < NOT_SLOWER_THAN
    for task_id in uploads:
        assert orders.ended(client, task_id)["current"] == BIG
    assert_healed(stack)
