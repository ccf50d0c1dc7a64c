"""The worker as a process: what a signal, a kill -9, a restart of the broker do to messages and timers."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chassis import strictjson
from chassis.db import Database
from chassis.messaging import broker

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(settings: Any, node: Any, queue: str, environment: Any, db: Database) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def worker(**more: str) -> subprocess.Popen[bytes]:
        variables = environment(settings, AMQP_URL=node.url, PROBE_QUEUE=queue, **more)
        process = subprocess.Popen([sys.executable, "-m", "probe_service", "worker"], env=variables)
        started.append(process)
        return process

    yield worker
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def names(db: Database) -> Callable[[], list[str]]:
    def effects() -> list[str]:
        with db.transaction() as tx:
            return [row[0] for row in tx.rows("SELECT name FROM effects ORDER BY id")]

    return effects


@pytest.fixture
def send(publish: Any, channel: Any, queue: str) -> Callable[..., list[str]]:
    def messages(count: int, seconds: float = 0, *, in_order: bool = False) -> list[str]:
        broker.declare_queue(channel, queue, single_active=in_order)
        sent = [f"m{number:03}" for number in range(count)]
        for name in sent:
            publish(queue, strictjson.dumps({"name": name, "seconds": seconds}).encode())
        return sent

    return messages


def connected(db: Database) -> int:
    with db.transaction() as tx:
        return int(tx.value("SELECT count(*) FROM workers WHERE broker_connected"))


def test_sigterm_lets_what_has_begun_end_and_gives_the_rest_back(
    start: Start, send: Any, names: Any, db: Database, channel: Any, queue: str, eventually: Any
) -> None:
    sent = send(30, seconds=0.5)
    worker = start()
    eventually(lambda: connected(db) == 1)
    eventually(lambda: _begun(db) == 4)
    worker.terminate()
    assert worker.wait(20) == 0
    done = names()
    assert 4 <= len(done) < 30
    assert channel.queue_declare(queue, passive=True).method.message_count == 30 - len(done)
    assert connected(db) == 0
    start()
    start()
    eventually(lambda: len(names()) == 30)
    assert sorted(names()) == sent


def _begun(db: Database) -> int:
    """Handlers that sleep inside their transaction."""
    with db.transaction() as tx:
        return int(tx.value("SELECT count(*) FROM pg_locks WHERE relation = 'effects'::regclass AND granted"))


def test_a_worker_killed_in_the_middle_of_messages_loses_none_and_does_none_twice(
    start: Start, send: Any, names: Any, eventually: Any
) -> None:
    sent = send(150, seconds=0.02)
    for _ in range(5):
        before = len(names())
        worker = start()
        eventually(lambda: len(names()) > before)  # noqa: B023
        worker.kill()
        worker.wait()
    start()
    eventually(lambda: len(names()) == 150)
    assert sorted(names()) == sent


def test_order_is_kept_over_two_workers_of_which_one_is_killed_and_one_ended(
    start: Start, send: Any, names: Any, eventually: Any
) -> None:
    sent = send(150, seconds=0.01, in_order=True)
    first, second = start(PROBE_IN_ORDER="1"), start(PROBE_IN_ORDER="1")
    eventually(lambda: len(names()) > 20)
    first.terminate()
    first.wait()
    eventually(lambda: len(names()) > 50)
    start(PROBE_IN_ORDER="1")
    second.kill()
    second.wait()
    eventually(lambda: len(names()) == 150)
    assert names() == sent


def test_a_broker_killed_and_started_again_loses_no_message(
    start: Start, send: Any, names: Any, db: Database, own_node: Any, eventually: Any
) -> None:
    sent = send(60, seconds=0.2)
    # RabbitMQ 3.10 never revives a quorum queue that was declared in the second before its kill -9.
    time.sleep(2)
    start()
    eventually(lambda: len(names()) > 4)
    own_node.stop(signal.SIGKILL)
    eventually(lambda: connected(db) == 0)
    own_node.start()
    eventually(lambda: len(names()) == 60, within_seconds=60)
    assert sorted(names()) == sent
    eventually(lambda: connected(db) == 1)


def test_a_timer_is_run_by_one_worker_at_a_time(start: Start, names: Any, eventually: Any) -> None:
    for _ in range(2):
        start(PROBE_TIMER="1")
    eventually(lambda: len(names()) >= 12)
    seen = names()
    assert seen == ["begin", "end"] * (len(seen) // 2)


def test_a_worker_waits_for_what_is_not_there_yet(
    environment: Any, settings: Any, queue: str, names: Any, node: Any, send: Any, eventually: Any, tmp_path: Any
) -> None:
    """Neither Postgres nor RabbitMQ: it lives, and ends when it is told to."""
    nowhere = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x", "AMQP_URL": "amqp://u:p@127.0.0.1:1/x"}
    log = tmp_path / "log"
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "probe_service", "worker"],
            env=environment(settings, PROBE_QUEUE=queue, **nowhere),
            stdout=out,
        )
    eventually(lambda: {"consumer.disconnected", "relay.interrupted", "worker.not_reported"} <= _events(log))
    assert worker.poll() is None
    worker.terminate()
    assert worker.wait(20) == 0


def _events(log: Any) -> set[str]:
    whole = log.read_bytes().rpartition(b"\n")[0]
    return {strictjson.loads(line)["event"] for line in whole.splitlines()}


def test_a_wrong_setting_is_said_in_one_line_each(environment: Any, settings: Any) -> None:
    variables = environment(settings, LOG_LEVEL="loud", POOL_SIZE="0")
    done = subprocess.run(
        [sys.executable, "-m", "probe_service", "worker"], env=variables, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()[1:]] == ["LOG_LEVEL", "POOL_SIZE"]
