"""The worker process of a service: consumers, the relay, timers, and a periodic status report in Postgres."""

import signal
import socket
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chassis.db import Database, Transaction
from chassis.errors import Unavailable
from chassis.messaging import dead_letter_requests, deadletters, outbox, worker_reports, worker_server
from chassis.messaging.consumer import Consumer, ConsumerConfig
from chassis.messaging.relay import Relay
from chassis.messaging.worker_metrics import STATE_SECONDS, WorkerMetrics
from chassis.runtime import logs
from chassis.runtime.config import ServiceSettings, worker_pool_size
from chassis.runtime.liveness import Liveness

log = logs.logger(__name__)

_UNHEALTHY_REPORT_SECONDS = 0.5  # `make up` waits for the first report with all connections
_STOP_SECONDS = 25
_TIMER_LOCK_NAMESPACE = 0x5174696D


@dataclass(frozen=True)
class Timer:
    """A function that one worker at a time, or each worker, calls periodically, in one transaction.

    If it returns True, it has more to do: it is called again after a pause as long as the call took.
    """

    every_seconds: float
    run: Callable[[Transaction, datetime], bool | None]
    in_each_worker: bool = False


def run(
    service: str,
    settings: ServiceSettings,
    consumers: Mapping[str, ConsumerConfig],
    timers: Mapping[str, Timer],
    metrics: WorkerMetrics,
) -> None:
    """Run until SIGTERM; then let running handlers finish, and return all other messages to their queues."""
    stop_event = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        # In a thread: the signal may arrive while the main thread holds the event's own lock.
        signal.signal(signal_number, lambda *_: threading.Thread(target=stop_event.set).start())
    size = worker_pool_size(settings.worker_threads, len(consumers))
    database = Database(settings.database_url, name=f"{service}-worker", size=size, wait_seconds=30, metrics=metrics)
    running = {
        queue: Consumer(
            service, queue, config, database, settings.amqp_url, stop_event, settings.worker_threads, settings, metrics
        )
        for queue, config in consumers.items()
    }
    relay = Relay(service, settings.database_url, settings.amqp_url, stop_event, metrics)
    all_timers = {
        "prune": Timer(60, _prune),
        "state": Timer(STATE_SECONDS, metrics.state.read, in_each_worker=True),
        "outbox backlog": Timer(15, outbox.record_backlog),
        "dead letters": Timer(3, lambda tx, _now: deadletters.perform_next(tx, settings.amqp_url)),
        **timers,
    }
    timer_loops = {name: Liveness() for name in all_timers}
    report_loop = Liveness()
    loops = {"relay": relay.liveness, "report": report_loop}
    loops |= {f"consumer {queue}": consumer.liveness for queue, consumer in running.items()}
    loops |= {f"timer {name}": liveness for name, liveness in timer_loops.items()}
    metrics.observe_worker(lambda: _is_connected(relay, running), loops)
    worker_server.start(settings.worker_bind, metrics, loops)
    targets = [relay.run, *(consumer.run for consumer in running.values())]
    targets += [_timer_loop(name, timer, database, stop_event, timer_loops[name]) for name, timer in all_timers.items()]
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    log.info("worker.started", queues=sorted(running))
    try:
        _report_until_stopped(database, stop_event, relay, running, report_loop)
    finally:
        stop_event.set()
    deadline = time.monotonic() + _STOP_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    log.info("worker.stopped")


def _is_connected(relay: Relay, consumers: Mapping[str, Consumer]) -> bool:
    return relay.is_connected and all(consumer.is_connected for consumer in consumers.values())


def _report_until_stopped(
    database: Database,
    stop_event: threading.Event,
    relay: Relay,
    consumers: Mapping[str, Consumer],
    liveness: Liveness,
) -> None:
    worker = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    while not stop_event.is_set():
        is_connected = _is_connected(relay, consumers)
        dead_letters = {queue: consumer.dead_letter_count for queue, consumer in consumers.items()}
        queues = {queue: consumer.queue_report for queue, consumer in consumers.items()}
        try:
            with liveness.suspended(), database.transaction() as tx:
                worker_reports.save(tx, worker, is_connected=is_connected, dead_letters=dead_letters, queues=queues)
        except Unavailable as problem:
            log.warning("worker.report_failed", reason=problem.detail)
        stop_event.wait(worker_reports.REPORT_SECONDS if is_connected else _UNHEALTHY_REPORT_SECONDS)
    try:
        with database.transaction() as tx:
            worker_reports.delete(tx, worker)
            # Wakes the relay, which then stops.
            tx.notifies = True
    except Unavailable:
        pass


def _timer_loop(
    name: str, timer: Timer, database: Database, stop_event: threading.Event, liveness: Liveness
) -> Callable[[], None]:
    def loop() -> None:
        pause_seconds = timer.every_seconds
        while not liveness.wait(stop_event, pause_seconds):
            pause_seconds, started_at = timer.every_seconds, time.monotonic()
            try:
                with liveness.suspended(), database.transaction() as tx:
                    may_run = timer.in_each_worker or _try_lock_timer(tx, name)
                    has_more = may_run and timer.run(tx, datetime.now(UTC))
                if has_more:
                    pause_seconds = min(pause_seconds, time.monotonic() - started_at)
            except Unavailable as problem:
                log.warning("timer.postponed", timer=name, reason=problem.detail)
            except Exception:
                log.exception("timer.failed", timer=name)

    return loop


def _try_lock_timer(tx: Transaction, timer: str) -> bool:
    """Return whether no other worker is running the timer. Timers of different schemas do not block each other."""
    return bool(
        tx.value(
            "SELECT pg_try_advisory_xact_lock(%(namespace)s, hashtext(current_schema()) # %(key)s)",
            namespace=_TIMER_LOCK_NAMESPACE,
            key=zlib.crc32(timer.encode()) - 2**31,
        )
    )


def _prune(tx: Transaction, _now: datetime) -> None:
    tx.run("DELETE FROM inbox WHERE received_at < now() - interval '14 days'")
    tx.run("DELETE FROM message_failures WHERE failed_at < now() - interval '14 days'")
    dead_letter_requests.prune(tx)
    outbox.prune_backlogs(tx)
    worker_reports.prune(tx)
