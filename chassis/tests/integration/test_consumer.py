"""From a queue to its handler: once in effect, tried again, given up."""

import signal
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from chassis.errors import Unavailable
from chassis.messaging.message_processor import Interrupted

Consume = Callable[..., Any]


def note(tx: Any, delivery: Any) -> None:
    tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=delivery.body["name"])


def test_a_message_that_arrives_twice_has_its_effect_once(
    consume: Consume, publish: Any, queue: str, effects: Any, eventually: Any
) -> None:
    consume(note)
    known = publish(queue, b'{"name": "one"}')
    for _ in range(20):
        publish(queue, b'{"name": "one"}', message_id=known)
    publish(queue, b'{"name": "two"}')
    eventually(lambda: len(effects()) == 2)
    publish(queue, b'{"name": "one"}', message_id=known.upper())
    publish(queue, b'{"name": "three"}')
    eventually(lambda: len(effects()) == 3)
    assert sorted(effects()) == ["one", "three", "two"]


def test_a_handler_that_raises_is_tried_five_times_and_then_the_message_is_dead(
    consume: Consume, publish: Any, queue: str, effects: Any, dead: Any, eventually: Any, short_pauses: None
) -> None:
    calls: list[float] = []

    def fail(tx: Any, delivery: Any) -> None:
        note(tx, delivery)
        if delivery.body["name"] == "bad":
            calls.append(time.monotonic())
            raise RuntimeError("this \0 never works \ud800")

    consume(fail)
    message_id = publish(queue, b'{"name": "bad"}', correlation_id="r-7", app_id="probe", headers={"kind": "x"})
    for number in range(10):
        publish(queue, b'{"name": "good %d"}' % number)
    eventually(lambda: len(effects()) == 10)
    properties, body = dead()
    assert len(calls) == 5
    pauses = [later - earlier for earlier, later in pairwise(calls)]
    assert pauses == sorted(pauses)
    assert (properties.message_id, properties.correlation_id, body) == (message_id, "r-7", b'{"name": "bad"}')
    assert properties.app_id == "probe"
    assert "never works" in properties.headers["x-reason"]
    assert (properties.headers["x-queue"], properties.headers["kind"]) == (queue, "x")
    assert "bad" not in effects()


def test_a_dependency_that_is_down_is_waited_for_and_counts_as_no_failure(
    consume: Consume, publish: Any, queue: str, effects: Any, eventually: Any, short_pauses: None
) -> None:
    calls = 0

    def wait(tx: Any, delivery: Any) -> None:
        nonlocal calls
        calls += 1
        if calls < 9:
            raise Unavailable("the neighbour is away")
        note(tx, delivery)

    consume(wait)
    publish(queue, b'{"name": "patient"}')
    eventually(lambda: effects() == ["patient"])
    assert calls == 9


def compute(seconds: float) -> None:
    """Holds the interpreter while it can."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(100_000))


@pytest.mark.parametrize("work", [time.sleep, compute])
def test_a_handler_slower_than_the_heartbeat_keeps_its_connection(
    consume: Consume, publish: Any, queue: str, node: Any, effects: Any, eventually: Any, work: Any
) -> None:
    """RabbitMQ ends a connection from which it heard nothing for two heartbeats."""
    calls = []

    def slow(tx: Any, delivery: Any) -> None:
        calls.append(delivery)
        work(5)
        note(tx, delivery)

    consume(slow, url=f"{node.url}?heartbeat=1")
    publish(queue, b'{"name": "slow"}')
    eventually(lambda: effects() == ["slow"])
    publish(queue, b'{"name": "slow too"}')
    eventually(lambda: len(calls) == 2)
    assert effects() == ["slow"]


def test_a_handler_that_ends_its_thread_gives_the_message_back(
    consume: Consume, publish: Any, queue: str, effects: Any, eventually: Any, short_pauses: None
) -> None:
    calls = []

    def leave(tx: Any, delivery: Any) -> None:
        calls.append(delivery)
        if len(calls) < 3:
            raise SystemExit
        note(tx, delivery)

    consume(leave)
    publish(queue, b'{"name": "left"}')
    eventually(lambda: effects() == ["left"])
    assert len(calls) == 3


def test_in_order_means_that_what_waits_makes_those_behind_wait_and_what_is_dead_does_not(
    consume: Consume, publish: Any, queue: str, effects: Any, dead: Any, eventually: Any, short_pauses: None
) -> None:
    calls: dict[str, int] = {}

    def sometimes(tx: Any, delivery: Any) -> None:
        name = delivery.body["name"]
        calls[name] = calls.get(name, 0) + 1
        if name == "05" and calls[name] < 4:
            raise RuntimeError("later")
        if name == "10":
            raise RuntimeError("never")
        note(tx, delivery)

    consume(sometimes, in_order=True)
    for number in range(30):
        publish(queue, b'{"name": "%02d"}' % number)
    eventually(lambda: len(effects()) == 29)
    assert effects() == [f"{number:02}" for number in range(30) if number != 10]
    assert dead()[1] == b'{"name": "10"}'


def test_long_work_opens_its_own_transactions_and_is_told_to_end(
    consume: Consume, publish: Any, queue: str, effects: Any, channel: Any, settings: Any, eventually: Any
) -> None:
    def work(context: Any, delivery: Any) -> None:
        with context.database.transaction() as tx:
            note(tx, delivery)
        assert context.settings is settings
        if delivery.body["name"] == "long":
            assert context.stop_event.wait(20)
            raise Interrupted

    stopping = consume(work, is_long_running=True)
    publish(queue, b'{"name": "short"}')
    eventually(lambda: effects() == ["short"])
    publish(queue, b'{"name": "long"}')
    eventually(lambda: len(effects()) == 2)
    stopping.set()
    eventually(lambda: channel.queue_declare(queue, passive=True).method.message_count == 1)


def test_long_work_outlives_the_connection_that_brought_it(
    consume: Consume, publish: Any, queue: str, own_node: Any, effects: Any, eventually: Any
) -> None:
    began, proceed = threading.Event(), threading.Event()

    def work(context: Any, delivery: Any) -> None:
        if not began.is_set():
            began.set()
            assert proceed.wait(30) and not context.stop_event.is_set()
            with context.database.transaction() as tx:
                note(tx, delivery)

    consume(work, is_long_running=True, threads=2)
    publish(queue, b'{"name": "long"}')
    assert began.wait(30)
    own_node.stop(signal.SIGKILL)
    own_node.start()
    eventually(own_node.answers, within_seconds=60)
    proceed.set()
    eventually(lambda: effects() == ["long"])


def test_long_work_that_one_worker_has_no_thread_for_goes_to_another(
    consume: Consume, publish: Any, queue: str, eventually: Any
) -> None:
    at_once, proceed = [], threading.Event()

    def work(_around: Any, delivery: Any) -> None:
        at_once.append(delivery.body["name"])
        assert proceed.wait(60)

    consume(work, is_long_running=True, threads=1)
    for number in range(2):
        publish(queue, b'{"name": "%d"}' % number)
    eventually(lambda: len(at_once) == 1)
    consume(work, is_long_running=True, threads=1)
    eventually(lambda: len(at_once) == 2)
    proceed.set()
