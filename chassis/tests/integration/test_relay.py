"""From the outbox to RabbitMQ: everything, in order, whatever dies."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chassis import strictjson
from chassis.db import Database
from chassis.messaging import broker, outbox
from chassis.messaging.relay import Relay

RELAY = """
import sys, threading
from chassis.messaging.relay import Relay
Relay("probe", sys.argv[1], sys.argv[2], threading.Event()).run()
"""
Added = Callable[[str, int], list[int]]


@pytest.fixture
def start_relay(settings: Any, node: Any) -> Iterator[Callable[[], threading.Event]]:
    """Gives the event that stops it."""
    started = []

    def start() -> threading.Event:
        stopping = threading.Event()
        thread = threading.Thread(target=Relay("probe", settings.database_url, node.url, stopping).run)
        thread.start()
        started.append((stopping, thread))
        return stopping

    yield start
    for stopping, _ in started:
        stopping.set()
    for _, thread in started:
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def add(db: Database) -> Added:
    """Numbered messages for a queue; the numbers go on from call to call."""
    count = 0

    def to(queue: str, how_many: int) -> list[int]:
        nonlocal count
        numbers = list(range(count, count + how_many))
        count += how_many
        with db.transaction() as tx:
            outbox.add_all(tx, [outbox.job(queue, {"n": number}, request_id="r-1") for number in numbers])
        return numbers

    return to


@pytest.fixture
def is_empty(db: Database) -> Callable[[], bool]:
    def check() -> bool:
        with db.transaction() as tx:
            return outbox.backlog(tx)["backlog"] == 0

    return check


def arrived(channel: Any, queue: str) -> list[int]:
    """First copies, in the order in which they lie there."""
    numbers: dict[int, None] = {}
    for method, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=0.5):
        if method is None:
            break
        numbers[strictjson.loads(body)["n"]] = None
    channel.cancel()
    return list(numbers)


def test_rows_go_out_in_their_order_and_are_gone(
    add: Added, is_empty: Any, start_relay: Any, channel: Any, queue: str, eventually: Any
) -> None:
    broker.declare_queue(channel, queue)
    numbers = add(queue, 1800)
    start_relay()
    eventually(is_empty)
    assert arrived(channel, queue) == numbers


def test_a_message_carries_what_the_contract_says(
    db: Database, is_empty: Any, start_relay: Any, channel: Any, queue: str, eventually: Any, now: Any
) -> None:
    broker.declare_queue(channel, queue, [f"{outbox.key_part(queue)}.#"])
    event = outbox.service_event(queue, "a.b ü", {"x": 1}, now=now, request_id="r-9")
    with db.transaction() as tx:
        outbox.add(tx, event)
    start_relay()
    eventually(is_empty)
    method, properties, body = channel.basic_get(queue, auto_ack=True)
    assert method.routing_key == f"{queue.replace('.', '%2E')}.a%2Eb%20%C3%BC"
    assert (properties.headers["stream"], properties.headers["event"]) == (queue, "a.b ü")
    assert (properties.message_id, properties.type) == (event.message_id, "a%2Eb%20%C3%BC")
    assert (properties.app_id, properties.correlation_id) == ("probe", "r-9")
    assert (properties.delivery_mode, properties.content_type) == (2, "application/json")
    assert properties.timestamp
    assert strictjson.loads(body)["trigger"] == {"type": "request", "name": "r-9"}


def test_a_relay_killed_at_any_moment_loses_nothing(
    add: Added, is_empty: Any, settings: Any, node: Any, channel: Any, queue: str, eventually: Any
) -> None:
    """Between publish and delete a message is sent twice, which the inbox of its consumer takes."""
    broker.declare_queue(channel, queue)
    numbers = []
    for _ in range(8):
        numbers += add(queue, 1000)
        relay = subprocess.Popen([sys.executable, "-c", RELAY, settings.database_url, node.url])
        before = channel.queue_declare(queue, passive=True).method.message_count
        eventually(lambda: channel.queue_declare(queue, passive=True).method.message_count > before)  # noqa: B023
        time.sleep(random.random() / 10)
        relay.kill()
        relay.wait()
    relay = subprocess.Popen([sys.executable, "-c", RELAY, settings.database_url, node.url])
    eventually(is_empty)
    relay.kill()
    relay.wait()
    assert arrived(channel, queue) == numbers


def test_one_relay_leads_and_another_takes_over_when_it_dies(
    add: Added, is_empty: Any, settings: Any, node: Any, db: Database, start_relay: Any, channel: Any, queue: str,
    eventually: Any,
) -> None:  # fmt: skip
    def leaders() -> int:
        with db.transaction() as tx:
            return int(tx.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"))

    broker.declare_queue(channel, queue)
    relay = subprocess.Popen([sys.executable, "-c", RELAY, settings.database_url, node.url])
    numbers = add(queue, 100)
    eventually(is_empty)
    start_relay()
    numbers += add(queue, 100)
    eventually(is_empty)
    assert leaders() == 1
    relay.kill()
    relay.wait()
    numbers += add(queue, 100)
    eventually(is_empty)
    assert leaders() == 1
    assert arrived(channel, queue) == numbers


def test_what_nobody_takes_waits_in_order_and_holds_up_nothing_else(
    add: Added, is_empty: Any, start_relay: Any, channel: Any, queue: str, eventually: Any
) -> None:
    late, there = f"{queue}.late", f"{queue}.there"
    broker.declare_queue(channel, there)
    start_relay()
    waiting = add(late, 700)
    going = add(there, 100)
    eventually(lambda: channel.queue_declare(there, passive=True).method.message_count == 100)
    assert not is_empty()
    waiting += add(late, 700)
    broker.declare_queue(channel, late)
    eventually(is_empty)
    assert arrived(channel, late) == waiting
    assert arrived(channel, there) == going


def test_what_nobody_has_to_take_is_dropped(
    db: Database, is_empty: Any, start_relay: Any, queue: str, eventually: Any
) -> None:
    with db.transaction() as tx:
        outbox.add(
            tx,
            outbox.event_message(queue, "Done", "{}", request_id="r", message_id=os.urandom(16).hex(), mandatory=False),
        )
    start_relay()
    eventually(is_empty)


def test_what_was_written_while_the_broker_was_away_goes_out_in_order(
    add: Added, is_empty: Any, start_relay: Any, own_node: Any, queue: str, eventually: Any
) -> None:
    connection = own_node.connect()
    broker.declare_queue(connection.channel(), queue)
    connection.close()
    start_relay()
    # RabbitMQ 3.10 never revives a quorum queue that was declared in the half second before its kill -9.
    time.sleep(1)
    numbers = add(queue, 500)
    eventually(is_empty)
    files = len(os.listdir("/proc/self/fd"))
    own_node.stop(9)
    for _ in range(5):
        numbers += add(queue, 500)
    assert not is_empty()
    eventually(lambda: not own_node.answers())
    own_node.start()
    eventually(is_empty, within_seconds=60)
    assert len(os.listdir("/proc/self/fd")) <= files + 3
    again = own_node.connect()
    assert arrived(again.channel(), queue) == numbers
    again.close()
