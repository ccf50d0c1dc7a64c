"""A process that listens is notified after each commit that requests it, once for many."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from chassis import db as db_package
from chassis.db import Connection, ConnectionLost, Database, Transaction, notifications
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
def test_commit_wakes_who_waits(db: Database, listening: Connection, block: Any) -> None:
    started_at = time.monotonic()
    with block(db) as tx:
        insert(tx)
        tx.notifies = True
    notifications.wait(listening, 60)
    assert count_rows(listening) == 1
    assert time.monotonic() - started_at < 30


def test_many_commits_are_notified_together(db: Database, listening: Connection) -> None:
    count = 0
    for _ in range(COMMITS):
        with db.transaction() as tx:
            insert(tx)
            tx.notifies = True
        count += notifications.has_arrived(listening)
    assert 0 < count < COMMITS / 2


def test_transaction_that_is_rolled_back_or_requests_nothing_notifies_nobody(
    db: Database, listening: Connection
) -> None:
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.notifies = True
        raise ZeroDivisionError
    with db.transaction() as tx:
        insert(tx)
    notifications.wait(listening, 0.5)
    assert not notifications.has_arrived(listening)


def test_lost_connection_is_detected(db: Database, listening: Connection) -> None:
    with db.transaction() as tx:
        tx.run("SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE application_name = 'listening'")
    with pytest.raises(ConnectionLost):
        notifications.wait(listening, 60)
