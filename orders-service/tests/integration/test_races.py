"""What happens at the same moment, and what is repeated or breaks off."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from chassis.errors import Invalid, Unavailable
from chassis.messaging.message_processor import Delivery, JobContext
from orders_service.domain.rules import Policy
from orders_service.handlers import on_import_requested
from orders_service.operations.importing import run_slice

PATH = "/acme_orders/api/v1/orders/import"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr("orders_service.operations.upload_receiver.BLOCK_BYTES", 750)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 250)


class Broken(Exception):
    """In the place of a kill."""


def a_slice(db, task, slice_=1, is_time_up=lambda _: False):
    """As the worker runs it, which waits for what is locked for long."""
    while True:
        try:
            return run_slice(db, task, slice_, Policy(), lambda: datetime.now(UTC), is_time_up)
        except Unavailable:
            pass


def ids_told(api, task):
    """How often each id is in the report."""
    return Counter(int(line.split("|")[0]) for line in api.errors(task).splitlines()[1:])


@pytest.mark.parametrize("seed", range(10))
def test_two_imports_with_the_same_ids_at_once_store_each_once_and_both_tell_the_truth(
    api, a_file, an_order, counted, seed
):
    ids = list(range(600))
    tasks = []
    for number in range(2):
        random.Random(seed * 2 + number).shuffle(ids)
        # Valid orders that say which file they came from.
        tasks.append(api.accepted(a_file(*(an_order(id, name=f"file {number}") for id in ids))))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda task: a_slice(api.db, task), tasks))
    told = [counted(api.status(task)) for task in tasks]
    assert [sum(counts) for counts in told] == [600, 600]
    assert told[0][0] + told[1][0] == 600
    with api.db.transaction() as tx:
        stored = Counter(row[0] for row in tx.rows("SELECT name FROM orders"))
    for number, task in enumerate(tasks):
        assert stored[f"file {number}"] == told[number][0]
        assert len(ids_told(api, task)) == told[number][2] == sum(ids_told(api, task).values())


def test_a_job_that_comes_twice_at_once_has_one_effect(api, a_file, an_order, counted, outbox):
    task = api.accepted(a_file(*(an_order(id) for id in range(1000))))
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: a_slice(api.db, task), range(3)))
    assert counted(api.status(task)) == (1000, 0, 0, 0)
    assert [name for name, _ in outbox()].count("OrdersImported") == 1


def test_a_job_of_a_turn_that_was_taken_does_nothing(api, a_file, an_order, outbox):
    task = api.accepted(a_file(*(an_order(id) for id in range(1000))))
    a_slice(api.db, task, is_time_up=lambda _: True)
    before = api.status(task)["current"]
    assert 0 < before < 1000
    a_slice(api.db, task)
    assert api.status(task)["current"] == before
    assert [body["turn"] for name, body in outbox() if name == "orders.import"] == [1, 2]
    a_slice(api.db, task, slice_=2)
    assert api.status(task)["status"] == "SUCCESS"


@pytest.mark.parametrize("dry_run", ["", "?dry_run=1"])
def test_killed_at_any_statement_it_ends_as_if_nothing_had_been(api, a_file, an_order, counted, monkeypatch, dry_run):
    lines = [an_order(id % 2900, state=("NJ", "TX")[id // 7 % 2], zipcode=f"1000{id // 3 % 5}") for id in range(3000)]
    content = a_file(*lines, '"broken', *lines[:20])
    undisturbed = api.imported(content, "?dry_run=1")
    expected, findings = counted(undisturbed), api.findings(undisturbed["task_id"])
    task = api.accepted(content, dry_run)
    kills = 0
    while api.status(task)["status"] in ("PENDING", "PROGRESS"):
        left = [random.Random(kills).randint(1, 40)]
        kills += 1

        def run_or_die(original, left=left):
            def run(self, *args, **kwargs):
                left[0] -= 1
                if left[0] == 0:
                    raise Broken
                return original(self, *args, **kwargs)

            return run

        with monkeypatch.context() as patched:
            from chassis.db import Transaction

            for name in ("run", "rows", "find", "copy_in", "insert_many"):
                patched.setattr(Transaction, name, run_or_die(getattr(Transaction, name)))
            try:
                a_slice(api.db, task)
            except Broken:
                pass
    assert kills > 5
    assert counted(api.status(task)) == expected
    assert api.findings(task) == findings


def test_cancelled_while_it_runs_it_ends_with_what_is_in(api, client, a_file, an_order):
    task = api.accepted(a_file(*(an_order(id) for id in range(5000))))
    steps = 0
    # It waits for the step that is under way.
    cancelling = threading.Thread(target=client.delete, args=(f"{PATH}/status/{task}",))

    def cancel_after_three_steps(_):
        nonlocal steps
        steps += 1
        if steps == 3:
            cancelling.start()
        return False

    a_slice(api.db, task, is_time_up=cancel_after_three_steps)
    cancelling.join()
    status = api.status(task)
    if status["status"] != "SUCCESS":
        assert status["message"] == "cancelled"
        assert 0 < status["valid"] < 5000
    assert status["valid"] == api.orders().json["total"]


@pytest.fixture
def delivered(api, settings):
    """Does the job as the worker does; `stop_event` is set where the worker stops."""
    stop_event = threading.Event()

    def deliver(body):
        context = JobContext(api.db, settings, stop_event)
        on_import_requested(context, Delivery("orders.import", "", "orders.import", "orders", "r", {}, body))

    deliver.stop_event = stop_event
    return deliver


def blocks_left(api):
    with api.db.transaction() as tx:
        return tx.value("SELECT count(*) FROM blocks")


def test_when_its_time_is_up_an_import_lets_others_go_first_unless_hardly_anything_is_left(
    api, delivered, a_file, an_order, monkeypatch
):
    monkeypatch.setattr("orders_service.handlers._SLICE_SECONDS", -1)
    task = api.accepted(a_file(*(an_order(id) for id in range(1200))))
    left = [blocks_left(api)]
    while api.status(task)["status"] in ("PENDING", "PROGRESS"):
        delivered({"task_id": task, "turn": len(left)})
        left.append(blocks_left(api))
    assert left[0] > 80
    assert [blocks for blocks in left if 0 < blocks <= 64] == []
    assert len(left) > 2


def test_a_worker_that_stops_leaves_even_the_last_bit_to_another(api, delivered, a_file, an_order):
    task = api.accepted(a_file(*(an_order(id) for id in range(300))))
    delivered.stop_event.set()
    before = blocks_left(api)
    delivered({"task_id": task, "turn": 1})
    assert 0 < blocks_left(api) < before <= 64
    delivered.stop_event.clear()
    delivered({"task_id": task, "turn": 2})
    assert api.status(task)["status"] == "SUCCESS"


def test_the_worker_takes_a_job_as_it_comes_and_refuses_what_is_none(api, delivered, a_file, an_order):
    task = api.accepted(a_file(an_order(1)))
    for body in (None, [], {}, {"task_id": "x", "turn": 1}, {"task_id": task}, {"task_id": task, "turn": "x"}):
        with pytest.raises(Invalid):
            delivered(body)
    delivered({"task_id": "8bd73d8d-8019-4bec-aaf9-0a04a343f1b0", "turn": 1})
    delivered({"task_id": task, "turn": 1})
    assert api.status(task)["status"] == "SUCCESS"


def test_what_was_left_by_a_killed_upload_is_cleared_away(api, client, a_file, an_order):
    from orders_service.handlers import delete_stale_data
    from orders_service.operations.upload_receiver import BlockWriter

    task = api.accepted(a_file(*(an_order(id) for id in range(200))))
    writer = BlockWriter(api.db)
    writer.write(b"x" * 10_000)
    with api.db.transaction() as tx:
        delete_stale_data(tx, datetime.now(UTC))
        assert tx.value("SELECT count(*) FROM uploads") == 1
        tx.run("UPDATE uploads SET seen_at = now() - interval '3 minutes'")
        delete_stale_data(tx, datetime.now(UTC))
        assert tx.value("SELECT count(*) FROM uploads") == 0
        assert tx.value("SELECT count(*) FROM blocks WHERE import_id = %(id)s", id=writer.id) == 0
    assert api.finish(task)["valid"] == 200
    with api.db.transaction() as tx:
        for _ in range(1100):
            tx.run("INSERT INTO order_counts VALUES ('TX', true, 1), ('TX', true, -1)")
        delete_stale_data(tx, datetime.now(UTC))
        assert tx.value("SELECT count(*) FROM order_counts") == 1
