"""The process behind the web: consumers, the relay, timers, and a sign of life in Postgres."""

import signal
import socket
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chassis import strictjson
from chassis.db import Database, Transaction
from chassis.errors import Unavailable
from chassis.messaging.consumer import Consumer, ConsumerConfig
from chassis.messaging.relay import Relay
from chassis.runtime import logs
from chassis.runtime.config import ServiceSettings

log = logs.logger(__name__)

_REPORT_SECONDS = 5
_STOP_SECONDS = 25
_TIMER_NAMESPACE = 0x5174696D


@dataclass(frozen=True)
class Timer:
    """Done every so often by one worker at a time, in one transaction."""

    every_seconds: float
    run: Callable[[Transaction, datetime], None]


def run(
    service: str,
    settings: ServiceSettings,
    consumers: Mapping[str, ConsumerConfig],
    timers: Mapping[str, Timer],
) -> None:
    """Until SIGTERM; then what has begun ends, and what has not goes back."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread: the signal may come while this one holds the event's own lock.
        signal.signal(number, lambda *_: threading.Thread(target=stopping.set).start())
    size = settings.worker_threads * max(1, len(consumers)) + 2
    database = Database(settings.database_url, name=f"{service}-worker", size=size, wait_seconds=30)
    running = {
        queue: Consumer(
            service, queue, config, database, settings.amqp_url, stopping, settings.worker_threads, settings
        )
        for queue, config in consumers.items()
    }
    relay = Relay(service, settings.database_url, settings.amqp_url, stopping)
    all_timers = {"prune": Timer(60, _prune), **timers}
    jobs = [relay.run, *(consumer.run for consumer in running.values())]
    jobs += [_ticking(name, timer, database, stopping) for name, timer in all_timers.items()]
    threads = [threading.Thread(target=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    log.info("worker.started", queues=sorted(running))
    try:
        _report_until_stopped(database, stopping, relay, running)
    finally:
        stopping.set()
    deadline = time.monotonic() + _STOP_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    log.info("worker.stopped")


def _report_until_stopped(
    database: Database, stopping: threading.Event, relay: Relay, consumers: dict[str, Consumer]
) -> None:
    worker = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    while not stopping.is_set():
        connected = relay.connected and all(consumer.connected for consumer in consumers.values())
        dead = {queue: consumer.dead_letters for queue, consumer in consumers.items()}
        try:
            with database.transaction() as tx:
                tx.run(_REPORT, worker=worker, connected=connected, dead=strictjson.dumps(dead))
        except Unavailable as problem:
            log.warning("worker.not_reported", reason=problem.detail)
        # Sooner while something is amiss: whoever waits for the stack waits for this.
        stopping.wait(_REPORT_SECONDS if connected else 0.5)
    try:
        with database.transaction() as tx:
            tx.run("DELETE FROM workers WHERE worker = %(worker)s", worker=worker)
    except Unavailable:
        pass


_REPORT = """
    INSERT INTO workers (worker, seen_at, broker_connected, dead_letters)
    VALUES (%(worker)s, now(), %(connected)s, %(dead)s)
    ON CONFLICT ON CONSTRAINT workers_pkey DO UPDATE
    SET seen_at = now(), broker_connected = excluded.broker_connected, dead_letters = excluded.dead_letters
"""


def _ticking(name: str, timer: Timer, database: Database, stopping: threading.Event) -> Callable[[], None]:
    def tick() -> None:
        while not stopping.wait(timer.every_seconds):
            try:
                with database.transaction() as tx:
                    if _is_mine(tx, name):
                        timer.run(tx, datetime.now(UTC))
            except Unavailable as problem:
                log.warning("timer.postponed", timer=name, reason=problem.detail)
            except Exception:
                log.exception("timer.failed", timer=name)

    return tick


def _is_mine(tx: Transaction, timer: str) -> bool:
    """Whether no other worker does it at this moment; schemas do not get into each other's way."""
    return bool(
        tx.value(
            "SELECT pg_try_advisory_xact_lock(%(namespace)s, hashtext(current_schema()) # %(key)s)",
            namespace=_TIMER_NAMESPACE,
            key=zlib.crc32(timer.encode()) - 2**31,
        )
    )


def _prune(tx: Transaction, _now: datetime) -> None:
    tx.run("DELETE FROM inbox WHERE received_at < now() - interval '14 days'")
    tx.run("DELETE FROM message_failures WHERE failed_at < now() - interval '14 days'")
    tx.run("DELETE FROM workers WHERE seen_at < now() - interval '1 hour'")
