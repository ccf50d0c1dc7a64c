"""The worker as a process: what SIGTERM, kill -9 and a restart of the broker do to messages and timers."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chassis import strictjson
from chassis.db import Database
from chassis.messaging import broker, worker
from chassis.runtime.config import ServiceSettings
from chassis.runtime.liveness import Liveness

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(settings: ServiceSettings, node: Any, queue: str, process_environment: Any, db: Database) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start_worker(**variables: str) -> subprocess.Popen[bytes]:
        environment = process_environment(settings, AMQP_URL=node.url, PROBE_QUEUE=queue, **variables)
        process = subprocess.Popen([sys.executable, "-m", "probe_service", "worker"], env=environment)
        started.append(process)
        return process

    yield start_worker
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def send(publish: Any, channel: Any, queue: str) -> Callable[..., list[str]]:
    def send_messages(count: int, seconds: float = 0, *, in_order: bool = False) -> list[str]:
        broker.declare_queue(channel, queue, single_active=in_order)
        names = [f"m{number:03}" for number in range(count)]
        for name in names:
            publish(queue, strictjson.dumps({"name": name, "seconds": seconds}).encode())
        return names

    return send_messages


def count_connected(db: Database) -> int:
    with db.transaction() as tx:
        return int(tx.value("SELECT count(*) FROM workers WHERE broker_connected"))


def test_sigterm_finishes_running_messages_and_requeues_the_rest(
    start: Start, send: Any, effects: Any, db: Database, channel: Any, queue: str, eventually: Any
) -> None:
    # Enough for the worker to be terminated while it processes messages, also on a busy machine.
    sent = send(30, seconds=1)
    worker = start()
    eventually(lambda: count_connected(db) == 1)
    eventually(lambda: _count_running(db) == 4)
    worker.terminate()
    assert worker.wait(60) == 0
    processed = effects()
    assert 4 <= len(processed) < 30
    assert channel.queue_declare(queue, passive=True).method.message_count == 30 - len(processed)
    assert count_connected(db) == 0
    start()
    start()
    eventually(lambda: len(effects()) == 30)
    assert sorted(effects()) == sent


def _count_running(db: Database) -> int:
    """Return the number of handlers that sleep inside their transaction."""
    with db.transaction() as tx:
        return int(tx.value("SELECT count(*) FROM pg_locks WHERE relation = 'effects'::regclass AND granted"))


def test_killed_worker_loses_no_message_and_repeats_no_effect(
    start: Start, send: Any, effects: Any, eventually: Any
) -> None:
    sent = send(150, seconds=0.02)
    for _ in range(5):
        before = len(effects())
        worker = start()
        eventually(lambda: len(effects()) > before)  # noqa: B023
        worker.kill()
        worker.wait()
    start()
    eventually(lambda: len(effects()) == 150)
    assert sorted(effects()) == sent


def test_order_is_kept_when_one_worker_is_killed_and_another_terminated(
    start: Start, send: Any, effects: Any, eventually: Any
) -> None:
    sent = send(150, seconds=0.01, in_order=True)
    first, second = start(PROBE_IN_ORDER="1"), start(PROBE_IN_ORDER="1")
    eventually(lambda: len(effects()) > 20)
    first.terminate()
    first.wait()
    eventually(lambda: len(effects()) > 50)
    start(PROBE_IN_ORDER="1")
    second.kill()
    second.wait()
    eventually(lambda: len(effects()) == 150)
    assert effects() == sent


def test_killed_broker_loses_no_message(
    start: Start, send: Any, effects: Any, db: Database, private_node: Any, eventually: Any
) -> None:
    sent = send(60, seconds=0.2)
    # RabbitMQ 3.10 never recovers a quorum queue that was declared less than a second before kill -9.
    time.sleep(2)
    start()
    eventually(lambda: len(effects()) > 4)
    private_node.stop(signal.SIGKILL)
    eventually(lambda: count_connected(db) == 0)
    private_node.start()
    eventually(lambda: len(effects()) == 60, within_seconds=120)
    assert sorted(effects()) == sent
    eventually(lambda: count_connected(db) == 1)


def test_timer_that_works_in_batches_is_called_again_without_its_pause_until_nothing_is_left(
    db: Database, eventually: Any
) -> None:
    stop_event, sizes = threading.Event(), list(range(99, -1, -1))
    loop = worker._timer_loop(
        "batches", worker.Timer(2, lambda _tx, _now: sizes.pop() < 99), db, stop_event, Liveness()
    )
    thread = threading.Thread(target=loop)
    thread.start()
    # With a pause between the batches, it would take 200 s.
    eventually(lambda: not sizes)
    stop_event.set()
    thread.join(60)
    assert not thread.is_alive()


def test_worker_reports_its_queues(start: Start, send: Any, db: Database, queue: str, eventually: Any) -> None:
    start()

    def report() -> Any:
        with db.transaction() as tx:
            row = tx.find("SELECT queues FROM workers WHERE broker_connected")
        return strictjson.loads(row["queues"].encode())[queue] if row else {}

    eventually(lambda: report().get("consumers") == 1)
    send(10, seconds=0.1)
    eventually(lambda: report()["handled_per_second"] > 0)


def test_timer_runs_in_one_worker_at_a_time(start: Start, effects: Any, eventually: Any) -> None:
    for _ in range(2):
        start(PROBE_TIMER="1")
    eventually(lambda: len(effects()) >= 12)
    names = effects()
    assert names == ["begin", "end"] * (len(names) // 2)


def test_worker_waits_for_missing_dependencies(
    process_environment: Any,
    settings: ServiceSettings,
    queue: str,
    effects: Any,
    node: Any,
    send: Any,
    eventually: Any,
    tmp_path: Path,
) -> None:
    """Without Postgres and RabbitMQ the worker keeps running, and SIGTERM ends it."""
    unreachable = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x", "AMQP_URL": "amqp://u:p@127.0.0.1:1/x"}
    log = tmp_path / "log"
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "probe_service", "worker"],
            env=process_environment(settings, PROBE_QUEUE=queue, **unreachable),
            stdout=out,
        )
    eventually(lambda: {"consumer.disconnected", "relay.interrupted", "worker.report_failed"} <= _logged_events(log))
    assert worker.poll() is None
    worker.terminate()
    assert worker.wait(60) == 0


def _logged_events(log: Path) -> set[str]:
    complete_lines = log.read_bytes().rpartition(b"\n")[0].splitlines()
    return {strictjson.loads(line)["event"] for line in complete_lines}


def test_each_invalid_setting_is_reported_on_one_line(process_environment: Any, settings: ServiceSettings) -> None:
    environment = process_environment(settings, LOG_LEVEL="loud", POOL_SIZE="0")
    completed = subprocess.run(
        [sys.executable, "-m", "probe_service", "worker"], env=environment, capture_output=True, text=True
    )
    assert completed.returncode == 1
    assert [line.partition(":")[0] for line in completed.stderr.splitlines()[1:]] == ["LOG_LEVEL", "POOL_SIZE"]
