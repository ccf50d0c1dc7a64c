"""A process that listens is notified after the commits of others, once for many."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from chassis import db as db_package
from chassis.db import Connection, ConnectionLost, Database, Transaction, notifications
from chassis.db.notifications import Notifier
from chassis.errors import Unavailable
from chassis.runtime.config import ServiceSettings

COMMITS = 300


@pytest.fixture
def listening(settings: ServiceSettings) -> Iterator[Connection]:
    connection = db_package.connect(settings.database_url, name="listening", autocommit=True)
    with closing(connection):
        notifications.listen(connection)
        yield connection


def count_rows(connection: Connection) -> int:
    return int(Transaction(connection).value("SELECT count(*) FROM outbox_backlogs"))


def insert(tx: Transaction) -> None:
    tx.run("INSERT INTO outbox_backlogs SELECT now() + count(*) * interval '1 minute', 0 FROM outbox_backlogs")


@pytest.mark.parametrize("block", [Database.transaction, Database.statements])
def test_commit_wakes_a_waiting_process(db: Database, listening: Connection, block: Any) -> None:
    with block(db) as tx:
        insert(tx)
        tx.notifies = True
    assert notifications.wait(listening, 60)
    assert count_rows(listening) == 1


def test_commits_within_a_short_time_are_notified_together(db: Database, listening: Connection) -> None:
    count, started_at = 0, time.monotonic()
    for _ in range(COMMITS):
        with db.transaction() as tx:
            insert(tx)
            tx.notifies = True
        count += bool(notifications.received(listening))
    intervals = (time.monotonic() - started_at) / notifications.MIN_INTERVAL_SECONDS
    assert 0 < count <= intervals + 2


def test_transaction_that_requests_no_notification_causes_none(db: Database, listening: Connection) -> None:
    with db.transaction() as tx:
        insert(tx)
    assert not notifications.wait(listening, 0.5)


def test_notification_that_failed_is_repeated(monkeypatch: pytest.MonkeyPatch, eventually: Any) -> None:
    monkeypatch.setattr(notifications, "_RETRY_SECONDS", 0.01)
    outcomes: list[Exception | None] = [Unavailable("down"), Unavailable("down"), None]

    def notify() -> None:
        if outcome := outcomes.pop(0):
            raise outcome

    Notifier(notify).request()
    eventually(lambda: not outcomes)


def test_thread_that_cannot_start_fails_no_request_and_is_started_later(
    monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    notified: list[bool] = []
    notifier = Notifier(lambda: notified.append(True))

    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", fail)
        notifier.request()
    notifier.request()
    eventually(lambda: notified)


def test_thread_ends_if_nothing_is_requested(monkeypatch: pytest.MonkeyPatch, eventually: Any) -> None:
    monkeypatch.setattr(notifications, "_LINGER_SECONDS", 0.01)
    notified: list[bool] = []
    notifier = Notifier(lambda: notified.append(True))
    for _ in range(2):
        notifier.request()
        eventually(lambda: notified and not notifier._is_running)
        notified.clear()


def test_lost_connection_is_detected(db: Database, listening: Connection) -> None:
    with db.transaction() as tx:
        tx.run("SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE application_name = 'listening'")
    with pytest.raises(ConnectionLost):
        notifications.wait(listening, 60)
