"""The relay publishes the outbox completely and in order, even if a process is killed."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest

from chassis import db as db_package
from chassis import strictjson
from chassis.db import Database, Transaction
from chassis.messaging import broker, outbox
from chassis.messaging import relay as relay_module
from chassis.messaging.relay import LOCK_NAMESPACE, RELEASE, Relay, lock_key
from chassis.messaging.worker_metrics import WorkerMetrics
from chassis.runtime.config import ServiceSettings

RELAY = """
import sys, threading
from chassis.messaging.relay import Relay
from chassis.messaging.worker_metrics import WorkerMetrics
Relay("probe", sys.argv[1], sys.argv[2], threading.Event(), WorkerMetrics("probe")).run()
"""
InsertJobs = Callable[[str, int], list[int]]


@pytest.fixture
def start_relay(settings: ServiceSettings, node: Any) -> Iterator[Callable[[], threading.Event]]:
    """Return a function that starts a relay and returns the event that stops it."""
    started = []

    def start() -> threading.Event:
        stop_event = threading.Event()
        relay = Relay("probe", settings.database_url, node.url, stop_event, WorkerMetrics("probe"))
        thread = threading.Thread(target=relay.run)
        thread.start()
        started.append((stop_event, thread))
        return stop_event

    yield start
    for stop_event, _ in started:
        stop_event.set()
    for _, thread in started:
        # A broker that does not respond is abandoned after 15 s.
        thread.join(100)
        assert not thread.is_alive()


@pytest.fixture
def insert_jobs(db: Database) -> InsertJobs:
    """Return a function that inserts numbered jobs for a queue; each call continues the numbers of the previous one."""
    next_number = 0

    def insert(queue: str, count: int) -> list[int]:
        nonlocal next_number
        numbers = list(range(next_number, next_number + count))
        next_number += count
        with db.transaction() as tx:
            outbox.add_all(tx, [outbox.job(queue, {"n": number}, request_id="r-1") for number in numbers])
        return numbers

    return insert


@pytest.fixture
def is_empty(db: Database) -> Callable[[], bool]:
    def check() -> bool:
        with db.transaction() as tx:
            return outbox.backlog(tx)["backlog"] == 0

    return check


def receive_numbers(channel: Any, queue: str, count: int) -> list[int]:
    """Return the first numbers in the queue, in order and without duplicates."""
    numbers: dict[int, None] = {}
    for method, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=60):
        assert method, f"no message after {len(numbers)} of {count}"
        numbers[strictjson.loads(body)["n"]] = None
        if len(numbers) == count:
            break
    channel.cancel()
    return list(numbers)


def test_rows_are_published_in_order_and_deleted(
    insert_jobs: InsertJobs, is_empty: Any, start_relay: Any, channel: Any, queue: str, eventually: Any
) -> None:
    broker.declare_queue(channel, queue)
    numbers = insert_jobs(queue, 1800)
    start_relay()
    eventually(is_empty)
    assert receive_numbers(channel, queue, len(numbers)) == numbers


def test_commit_wakes_the_relay(
    insert_jobs: InsertJobs, is_empty: Any, start_relay: Any, channel: Any, queue: str, eventually: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(relay_module, "_MAX_PAUSE_SECONDS", 30)
    broker.declare_queue(channel, queue)
    stop_event = start_relay()
    for _ in range(3):
        insert_jobs(queue, 1)
        eventually(is_empty, within_seconds=20)
    stop_event.set()
    # Also the end of the relay would wait for the next notification.
    insert_jobs(queue, 1)


def test_message_has_the_properties_of_the_contract(
    db: Database, is_empty: Any, start_relay: Any, channel: Any, queue: str, eventually: Any, now: datetime
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


def test_killed_relay_loses_nothing(
    insert_jobs: InsertJobs,
    is_empty: Any,
    settings: ServiceSettings,
    node: Any,
    channel: Any,
    queue: str,
    eventually: Any,
) -> None:
    """A relay that is killed between publishing and deleting sends a duplicate, which the consumer's inbox discards."""
    broker.declare_queue(channel, queue)
    numbers = []
    for _ in range(8):
        numbers += insert_jobs(queue, 1000)
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
    assert receive_numbers(channel, queue, len(numbers)) == numbers


@pytest.mark.parametrize("failure", [signal.SIGKILL, signal.SIGSTOP])
def test_standby_relay_takes_over_when_the_leader_fails(
    failure: signal.Signals, insert_jobs: InsertJobs, is_empty: Any, settings: ServiceSettings, node: Any, db: Database,
    start_relay: Any, channel: Any, queue: str, eventually: Any,
) -> None:  # fmt: skip
    def count_leaders() -> int:
        with db.transaction() as tx:
            return int(tx.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"))

    broker.declare_queue(channel, queue)
    relay = subprocess.Popen([sys.executable, "-c", RELAY, settings.database_url, node.url])
    numbers = insert_jobs(queue, 100)
    eventually(is_empty)
    start_relay()
    numbers += insert_jobs(queue, 100)
    eventually(is_empty)
    assert count_leaders() == 1
    relay.send_signal(failure)
    numbers += insert_jobs(queue, 100)
    eventually(is_empty)
    # A leader that continues after it was replaced publishes nothing: its connection has ended.
    relay.send_signal(signal.SIGCONT)
    numbers += insert_jobs(queue, 100)
    eventually(is_empty)
    assert count_leaders() == 1
    assert receive_numbers(channel, queue, len(numbers)) == numbers
    relay.kill()
    relay.wait()


@pytest.mark.parametrize("sends_release", [True, False])
def test_session_that_waits_for_the_lock_stops_the_relay_until_it_ends(
    sends_release: bool, insert_jobs: InsertJobs, is_empty: Any, settings: ServiceSettings, start_relay: Any,
    channel: Any, queue: str, eventually: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # With RELEASE, the relay does not wait for the interval at which it looks for such a session.
    monkeypatch.setattr(relay_module, "_MAX_PAUSE_SECONDS", 600 if sends_release else 0.5)
    broker.declare_queue(channel, queue)
    stop_event = start_relay()
    numbers = insert_jobs(queue, 10)
    eventually(is_empty)
    with closing(db_package.connect(settings.database_url, name="backup", autocommit=True)) as connection:
        session = Transaction(connection)
        started_at = time.monotonic()
        if sends_release:
            session.run(f"SELECT pg_notify(current_schema(), '{RELEASE}')")
        session.run(f"SELECT pg_advisory_lock({LOCK_NAMESPACE}, {lock_key('probe')})")
        # After 15 s, Postgres would end the session of a relay that does nothing.
        assert time.monotonic() - started_at < 12
        numbers += insert_jobs(queue, 10)
        started_at = time.monotonic()
        # While it is not the leader, a relay tries to become it every second.
        eventually(lambda: time.monotonic() - started_at > 1.5 or is_empty())
        assert not is_empty()
    eventually(is_empty)
    assert receive_numbers(channel, queue, len(numbers)) == numbers
    stop_event.set()
    insert_jobs(queue, 1)


def test_jobs_without_a_queue_wait_in_order_and_block_no_other_lane(
    insert_jobs: InsertJobs, is_empty: Any, start_relay: Any, channel: Any, queue: str, eventually: Any
) -> None:
    late, existing = f"{queue}.late", f"{queue}.existing"
    broker.declare_queue(channel, existing)
    start_relay()
    late_numbers = insert_jobs(late, 700)
    existing_numbers = insert_jobs(existing, 100)
    eventually(lambda: channel.queue_declare(existing, passive=True).method.message_count == 100)
    assert not is_empty()
    late_numbers += insert_jobs(late, 700)
    broker.declare_queue(channel, late)
    eventually(is_empty)
    assert receive_numbers(channel, late, len(late_numbers)) == late_numbers
    assert receive_numbers(channel, existing, len(existing_numbers)) == existing_numbers


def test_optional_event_without_a_queue_is_dropped(
    db: Database, is_empty: Any, start_relay: Any, queue: str, eventually: Any
) -> None:
    with db.transaction() as tx:
        outbox.add(
            tx,
            outbox.event_message(queue, "Done", "{}", request_id="r", message_id=os.urandom(16).hex(), mandatory=False),
        )
    start_relay()
    eventually(is_empty)


def test_jobs_inserted_while_the_broker_is_down_are_published_in_order(
    insert_jobs: InsertJobs, is_empty: Any, start_relay: Any, private_node: Any, queue: str, eventually: Any
) -> None:
    connection = private_node.connect()
    broker.declare_queue(connection.channel(), queue)
    connection.close()
    start_relay()
    # RabbitMQ 3.10 never recovers a quorum queue that was declared less than half a second before kill -9.
    time.sleep(1)
    numbers = insert_jobs(queue, 500)
    eventually(is_empty)
    open_files = len(os.listdir("/proc/self/fd"))
    private_node.stop(9)
    for _ in range(5):
        numbers += insert_jobs(queue, 500)
    assert not is_empty()
    eventually(lambda: not private_node.responds())
    private_node.start()
    eventually(is_empty, within_seconds=120)
    eventually(lambda: gc.collect() is not None and len(os.listdir("/proc/self/fd")) <= open_files + 3)
    connection = private_node.connect()
    assert receive_numbers(connection.channel(), queue, len(numbers)) == numbers
    connection.close()
