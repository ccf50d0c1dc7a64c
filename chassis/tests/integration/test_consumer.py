"""Messages have their effect once, are retried after errors, and are dead-lettered eventually."""

import signal
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from chassis.db import Database, Transaction
from chassis.errors import Unavailable
from chassis.messaging import broker, message_processor
from chassis.messaging.delivery import Delivery
from chassis.messaging.message_processor import Interrupted, JobContext
from chassis.runtime import tracing
from chassis.runtime.config import ServiceSettings

Consume = Callable[..., Any]


def record_effect(tx: Transaction, delivery: Delivery) -> None:
    tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=delivery.body["name"])


def test_duplicate_message_has_one_effect(
    consume: Consume, publish: Any, queue: str, effects: Any, eventually: Any
) -> None:
    consume(record_effect)
    message_id = publish(queue, b'{"name": "one"}')
    for _ in range(20):
        publish(queue, b'{"name": "one"}', message_id=message_id)
    publish(queue, b'{"name": "two"}')
    eventually(lambda: len(effects()) == 2)
    publish(queue, b'{"name": "one"}', message_id=message_id.upper())
    publish(queue, b'{"name": "three"}')
    eventually(lambda: len(effects()) == 3)
    assert sorted(effects()) == ["one", "three", "two"]


def test_message_is_logged_once_at_info_with_its_request_id(
    consume: Consume, publish: Any, queue: str, effects: Any, logged: Any, eventually: Any, short_delays: None
) -> None:
    calls = []

    def fail_once(tx: Transaction, delivery: Delivery) -> None:
        calls.append(delivery)
        if len(calls) == 1:
            raise RuntimeError("failed")
        record_effect(tx, delivery)

    consume(fail_once)
    message_id = publish(queue, b'{"name": "one"}', correlation_id="r-6", type="probe.job")
    (line,) = eventually(lambda: logged("message.handled"))
    assert effects() == ["one"]
    assert (line["level"], line["request_id"], line["message_id"]) == ("info", "r-6", message_id)
    assert (line["queue"], line["type"]) == (queue, "probe.job")
    assert 0 < line["seconds"] < 20
    (failure,) = logged("message.failed")
    assert (failure["level"], failure["request_id"], failure["failures"]) == ("error", "r-6", 1)


def test_inbox_stores_the_request_ids_of_jobs_only(
    consume: Consume, publish: Any, queue: str, db: Database, eventually: Any
) -> None:
    consume(lambda _tx, _delivery: None)
    job = publish(queue, b"{}", type=queue, correlation_id="r-1")
    event = publish(queue, b"{}", type="OrdersImported", correlation_id="r-1")

    def stored() -> dict[str, str]:
        with db.transaction() as tx:
            return dict(tx.rows("SELECT message_id::text, request_id FROM inbox"))

    eventually(lambda: len(stored()) == 2)
    assert stored() == {job: "r-1", event: ""}


def test_failing_message_is_dead_lettered_after_five_attempts(
    consume: Consume, publish: Any, queue: str, effects: Any, next_dead_letter: Any, eventually: Any, short_delays: None
) -> None:
    calls: list[float] = []

    def fail(tx: Transaction, delivery: Delivery) -> None:
        record_effect(tx, delivery)
        if delivery.body["name"] == "bad":
            calls.append(time.monotonic())
            raise RuntimeError("this \0 never works \ud800")

    consume(fail)
    message_id = publish(queue, b'{"name": "bad"}', correlation_id="r-7", app_id="probe", headers={"kind": "x"})
    for number in range(10):
        publish(queue, b'{"name": "good %d"}' % number)
    eventually(lambda: len(effects()) == 10)
    properties, body = next_dead_letter()
    assert len(calls) == 5
    delays = [later - earlier for earlier, later in pairwise(calls)]
    configured_delays = message_processor._FAILURE_DELAYS_SECONDS  # lower bounds: a busy machine makes delays longer
    assert all(delay >= configured for delay, configured in zip(delays, configured_delays, strict=True))
    assert (properties.message_id, properties.correlation_id, body) == (message_id, "r-7", b'{"name": "bad"}')
    assert properties.app_id == "probe"
    assert "never works" in properties.headers["x-reason"]
    assert (properties.headers["x-queue"], properties.headers["kind"]) == (queue, "x")
    assert "bad" not in effects()


def test_unavailable_dependency_is_awaited_and_counts_as_no_failure(
    consume: Consume, publish: Any, queue: str, effects: Any, eventually: Any, short_delays: None
) -> None:
    calls = 0

    def succeed_eventually(tx: Transaction, delivery: Delivery) -> None:
        nonlocal calls
        calls += 1
        if calls < 9:
            raise Unavailable("the dependency is down")
        record_effect(tx, delivery)

    consume(succeed_eventually)
    publish(queue, b'{"name": "patient"}')
    eventually(lambda: effects() == ["patient"])
    assert calls == 9


def compute(seconds: float) -> None:
    """Hold the interpreter lock as much as possible."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(100_000))


@pytest.mark.slow
@pytest.mark.parametrize("work", [time.sleep, compute])
def test_handler_slower_than_the_heartbeat_keeps_its_connection(
    consume: Consume, publish: Any, queue: str, node: Any, effects: Any, eventually: Any, work: Any
) -> None:
    """RabbitMQ closes a connection on which it received nothing for two heartbeats."""
    calls = []

    def slow(tx: Transaction, delivery: Delivery) -> None:
        calls.append(delivery)
        work(5)
        record_effect(tx, delivery)

    consume(slow, url=f"{node.url}?heartbeat=1")
    publish(queue, b'{"name": "slow"}')
    eventually(lambda: effects() == ["slow"])
    publish(queue, b'{"name": "slow too"}')
    eventually(lambda: len(calls) == 2)
    assert effects() == ["slow"]


def test_message_is_redelivered_if_its_handler_exits(
    consume: Consume, publish: Any, queue: str, effects: Any, eventually: Any, short_delays: None
) -> None:
    calls = []

    def exit_twice(tx: Transaction, delivery: Delivery) -> None:
        calls.append(delivery)
        if len(calls) < 3:
            raise SystemExit
        record_effect(tx, delivery)

    consume(exit_twice)
    publish(queue, b'{"name": "exited"}')
    eventually(lambda: effects() == ["exited"])
    assert len(calls) == 3


def test_in_order_a_retried_message_delays_later_ones_and_a_dead_letter_does_not(
    consume: Consume, publish: Any, queue: str, effects: Any, next_dead_letter: Any, eventually: Any, short_delays: None
) -> None:
    calls: dict[str, int] = {}

    def fail_sometimes(tx: Transaction, delivery: Delivery) -> None:
        name = delivery.body["name"]
        calls[name] = calls.get(name, 0) + 1
        if name == "05" and calls[name] < 4:
            raise RuntimeError("later")
        if name == "10":
            raise RuntimeError("never")
        record_effect(tx, delivery)

    consume(fail_sometimes, in_order=True)
    for number in range(30):
        publish(queue, b'{"name": "%02d"}' % number)
    eventually(lambda: len(effects()) == 29)
    assert effects() == [f"{number:02}" for number in range(30) if number != 10]
    assert next_dead_letter()[1] == b'{"name": "10"}'


def test_in_order_messages_that_wait_share_transactions_and_are_logged_one_by_one(
    consume: Consume, publish: Any, channel: Any, queue: str, db: Database, effects: Any, logged: Any, eventually: Any
) -> None:
    broker.declare_queue(channel, queue, single_active=True)
    names = [f"{number:03}" for number in range(1, 121)]
    traceparents = [f"00-{name:0>32}-{name:0>16}-01" for name in names]
    for name, traceparent in zip(names, traceparents, strict=True):
        publish(queue, b'{"name": "%s"}' % name.encode(), correlation_id=name, headers={"traceparent": traceparent})
    current: list[str] = []

    def record_trace(tx: Transaction, delivery: Delivery) -> None:
        record_effect(tx, delivery)
        current.append(tracing.current())

    consume(record_trace, in_order=True)
    eventually(lambda: len(logged("message.handled")) == len(names))
    assert effects() == names
    assert current == traceparents
    assert [(line["request_id"], line["trace_id"]) for line in logged("message.handled")] == [
        (name, f"{name:0>32}") for name in names
    ]
    with db.transaction() as tx:
        assert tx.value("SELECT count(DISTINCT xmin::text) FROM effects") < len(names) / 4


def test_long_running_job_opens_transactions_and_observes_the_stop_event(
    consume: Consume, publish: Any, queue: str, effects: Any, channel: Any, settings: ServiceSettings, eventually: Any
) -> None:
    def work(context: JobContext, delivery: Delivery) -> None:
        with context.database.transaction() as tx:
            record_effect(tx, delivery)
        assert context.settings is settings
        if delivery.body["name"] == "long":
            assert context.stop_event.wait(60)
            raise Interrupted

    stop_event = consume(work, is_long_running=True)
    publish(queue, b'{"name": "short"}')
    eventually(lambda: effects() == ["short"])
    publish(queue, b'{"name": "long"}')
    eventually(lambda: len(effects()) == 2)
    stop_event.set()
    eventually(lambda: channel.queue_declare(queue, passive=True).method.message_count == 1)


@pytest.mark.fault
def test_long_running_job_survives_the_loss_of_its_connection(
    consume: Consume, publish: Any, queue: str, private_node: Any, effects: Any, eventually: Any
) -> None:
    started, proceed = threading.Event(), threading.Event()

    def work(context: JobContext, delivery: Delivery) -> None:
        if not started.is_set():
            started.set()
            assert proceed.wait(200) and not context.stop_event.is_set()
            with context.database.transaction() as tx:
                record_effect(tx, delivery)

    consume(work, is_long_running=True, threads=2)
    publish(queue, b'{"name": "long"}')
    assert started.wait(60)
    private_node.stop(signal.SIGKILL)
    private_node.start()
    eventually(private_node.responds, within_seconds=120)
    proceed.set()
    eventually(lambda: effects() == ["long"])


def test_long_running_job_goes_to_a_worker_with_a_free_thread(
    consume: Consume, publish: Any, queue: str, eventually: Any
) -> None:
    running, proceed = [], threading.Event()

    def work(_context: JobContext, delivery: Delivery) -> None:
        running.append(delivery.body["name"])
        assert proceed.wait(60)

    consume(work, is_long_running=True, threads=1)
    for number in range(2):
        publish(queue, b'{"name": "%d"}' % number)
    eventually(lambda: len(running) == 1)
    consume(work, is_long_running=True, threads=1)
    eventually(lambda: len(running) == 2)
    proceed.set()
