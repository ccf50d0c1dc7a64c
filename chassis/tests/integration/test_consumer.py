"""From a queue to its handler: once in effect, tried again, given up with a reason."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chassis import attempts, broker, consumer, deadletters
from chassis.consumer import Consumer, Consumption
from chassis.db import Database
from chassis.errors import Invalid, Unavailable

Consume = Callable[..., threading.Event]


@pytest.fixture
def consume(settings: Any, db: Database, node: Any, queue: str, eventually: Any) -> Iterator[Consume]:
    """Starts a worker's consumer of the queue and gives the event that stops it."""
    started = []

    def start(handler: Any, *, threads: int = 4, url: str = node.url, **how: Any) -> threading.Event:
        stopping = threading.Event()
        running = Consumer("probe", queue, Consumption(handler, **how), db, url, stopping, threads)
        thread = threading.Thread(target=running.run)
        thread.start()
        started.append((stopping, thread))
        eventually(lambda: running.connected)
        return stopping

    yield start
    for stopping, _ in started:
        stopping.set()
    for _, thread in started:
        thread.join(25)
        assert not thread.is_alive()


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_FAILURE_PAUSES", (0.02, 0.1, 0.3, 0.6))
    monkeypatch.setattr(attempts, "_SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(consumer, "_SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(consumer, "_LONGEST_PAUSE", 0.05)


@pytest.fixture
def effects(db: Database) -> Callable[[], list[str]]:
    def names() -> list[str]:
        with db.transaction() as tx:
            return [row[0] for row in tx.rows("SELECT name FROM effects ORDER BY id")]

    return names


@pytest.fixture
def dead(channel: Any, queue: str, eventually: Any) -> Callable[[], Any]:
    """The next dead letter's (properties, body)."""

    def take() -> Any:
        found = eventually(lambda: _taken(channel, broker.dead_letter_queue(queue)))
        return found[1], found[2]

    return take


def _taken(channel: Any, queue: str) -> Any:
    found = channel.basic_get(queue, auto_ack=True)
    return found if found[0] else None


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
    pauses = [later - earlier for earlier, later in zip(calls, calls[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert (properties.message_id, properties.correlation_id, body) == (message_id, "r-7", b'{"name": "bad"}')
    assert properties.app_id == "probe"
    assert "never works" in properties.headers["x-reason"]
    assert (properties.headers["x-queue"], properties.headers["kind"]) == (queue, "x")
    assert "bad" not in effects()


def test_a_dead_letter_put_back_has_five_tries_again(
    consume: Consume, publish: Any, queue: str, dead: Any, node: Any, eventually: Any, short_pauses: None,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    calls = []

    def fail(_tx: Any, delivery: Any) -> None:
        calls.append(delivery)
        raise RuntimeError("no luck")

    consume(fail)
    message_id = publish(queue, b'{"name": "bad"}', correlation_id="r-8")

    def shown() -> str:
        deadletters.show(node.url, [queue])
        return capsys.readouterr().out

    eventually(lambda: f"{queue}: 1 dead letters" in shown())
    assert f"{message_id}  request r-8  RuntimeError('no luck')" in shown()
    assert '{"name": "bad"}' in shown()
    deadletters.put_back(node.url, queue)
    eventually(lambda: len(calls) == 10)
    properties, _ = dead()
    assert len(calls) == 10
    assert properties.message_id == message_id
    assert not any(name.startswith("x-reason") for name in calls[-1].headers)


def test_looking_at_dead_letters_never_loses_them(publish: Any, queue: str, channel: Any, node: Any) -> None:
    broker.declare_queue(channel, queue)
    publish(broker.dead_letter_queue(queue), b"{}")
    for _ in range(40):
        deadletters.show(node.url, [queue])
    assert _taken(channel, broker.dead_letter_queue(queue))


def test_a_message_that_breaks_a_rule_is_dead_at_once(
    consume: Consume, publish: Any, queue: str, dead: Any
) -> None:
    calls = []

    def refuse(_tx: Any, delivery: Any) -> None:
        calls.append(delivery)
        raise Invalid("name: must be shorter")

    consume(refuse)
    publish(queue, b'{"name": "bad"}')
    assert dead()[0].headers["x-reason"] == "name: must be shorter"
    assert len(calls) == 1


NOT_UNDERSTOOD: list[tuple[bytes, dict[str, Any]]] = [
    (b"not JSON", {}),
    (b"\xff\x00", {}),
    (b"[" * 100_000, {}),
    (b"x" * 10_000_000, {}),
    (b'{"name": "x"}', {"message_id": None}),
    (b'{"name": "x"}', {"message_id": "no uuid"}),
    (b"no", {"headers": {"a": [1, None, {"b": True}], "c": -(2**40), "d": b"\xff", "e": {}}}),
]


@pytest.mark.parametrize(("body", "given"), NOT_UNDERSTOOD)
def test_a_message_that_nobody_can_understand_is_dead_at_once_with_the_reason(
    body: bytes, given: dict[str, Any], consume: Consume, publish: Any, queue: str, dead: Any, effects: Any
) -> None:
    consume(note)
    publish(queue, body, **given)
    publish(queue, b'{"name": "behind"}')
    properties, found = dead()
    assert found == body
    assert properties.headers["x-reason"]
    assert set(given.get("headers", {})) <= set(properties.headers)
    assert "x" not in effects()


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


def test_a_handler_slower_than_the_heartbeat_keeps_its_connection(
    consume: Consume, publish: Any, queue: str, node: Any, effects: Any, eventually: Any
) -> None:
    calls = []

    def slow(tx: Any, delivery: Any) -> None:
        calls.append(delivery)
        time.sleep(4)
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


def test_the_broker_gives_up_a_message_that_came_back_thirty_times(
    publish: Any, queue: str, channel: Any, dead: Any
) -> None:
    broker.declare_queue(channel, queue)
    publish(queue, b"{}")
    deliveries = 0
    for method, _, _ in channel.consume(queue, inactivity_timeout=1):
        if method is None:
            break
        deliveries += 1
        channel.basic_nack(method.delivery_tag, requeue=True)
    channel.cancel()
    assert deliveries == broker.MOST_DELIVERIES + 1
    assert dead()[0].headers["x-first-death-reason"] == "delivery_limit"


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
