"""Transactions: they commit, roll back, and translate errors."""

import io
import threading
from collections.abc import Callable
from typing import Any

import pytest

from chassis.db import Database, Transaction, UniqueViolation
from chassis.errors import Conflict, Unavailable


def effect_names(db: Database) -> list[str]:
    with db.transaction() as tx:
        return [row[0] for row in tx.rows("SELECT name FROM effects ORDER BY id")]


def insert_effect(tx: Transaction, name: str) -> None:
    tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=name)


def test_completed_block_commits_and_exception_rolls_back(db: Database) -> None:
    with db.transaction() as tx:
        insert_effect(tx, "committed")
    with pytest.raises(KeyError), db.transaction() as tx:
        insert_effect(tx, "rolled back")
        raise KeyError
    assert effect_names(db) == ["committed"]


def test_each_method_returns_rows_in_its_shape(db: Database) -> None:
    with db.transaction() as tx:
        tx.insert_many("INSERT INTO effects (name) VALUES %s", [(f"n{number}",) for number in range(1500)])
        assert tx.find("SELECT name FROM effects WHERE name = 'none'") is None
        assert tx.one("SELECT 1 AS a, 'x' AS b") == {"a": 1, "b": "x"}
        assert tx.value("SELECT count(*) FROM effects") == 1500
        assert len(tx.all("SELECT id, name FROM effects")) == 1500
        assert tx.run("DELETE FROM effects WHERE name < 'n2'") > 0
        with pytest.raises(LookupError):
            tx.one("SELECT 1 WHERE false")


def test_failed_statement_leaves_no_connection_in_an_aborted_transaction(db: Database) -> None:
    for _ in range(10):
        with pytest.raises(UniqueViolation), db.transaction() as tx:
            tx.run("INSERT INTO schema_migrations SELECT * FROM schema_migrations")
    assert effect_names(db) == []


def test_failed_separate_statement_keeps_the_connection_for_transactions(db: Database) -> None:
    def backend() -> int:
        with db.transaction() as tx:
            return int(tx.value("SELECT pg_backend_pid()"))

    first = backend()
    with pytest.raises(UniqueViolation), db.statements() as tx:
        insert_effect(tx, "committed")
        tx.run("INSERT INTO schema_migrations SELECT * FROM schema_migrations")
    with pytest.raises(KeyError), db.transaction() as tx:
        insert_effect(tx, "rolled back")
        raise KeyError
    assert (backend(), effect_names(db)) == (first, ["committed"])


def test_statement_timeout_is_unavailable(db: Database) -> None:
    with pytest.raises(Unavailable, match="timed out"), db.transaction() as tx:
        tx.run("SET LOCAL statement_timeout = '50ms'")
        tx.value("SELECT pg_sleep(5)")
    assert effect_names(db) == []


def test_lock_timeout_is_unavailable(db: Database) -> None:
    with db.transaction() as holder:
        holder.run("LOCK TABLE effects")
        with pytest.raises(Unavailable), db.transaction() as tx:
            tx.run("SET LOCAL lock_timeout = '50ms'")
            insert_effect(tx, "late")


def test_idle_in_transaction_timeout_is_unavailable(db: Database, eventually: Callable[..., Any]) -> None:
    def is_backend_running(pid: int) -> bool:
        with db.transaction() as tx:
            return bool(tx.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %(pid)s", pid=pid))

    with pytest.raises(Unavailable), db.transaction() as tx:
        pid = tx.value("SELECT pg_backend_pid()")
        tx.run("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
        eventually(lambda: not is_backend_running(pid))
        insert_effect(tx, "late")
    assert effect_names(db) == []


def test_deadlock_is_a_conflict(db: Database) -> None:
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def lock_both(first: int, second: int) -> None:
        try:
            with db.transaction() as tx:
                tx.value("SELECT pg_advisory_xact_lock(%(key)s)", key=first)
                barrier.wait()
                tx.value("SELECT pg_advisory_xact_lock(%(key)s)", key=second)
            outcomes.append("committed")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=lock_both, args=keys) for keys in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["committed", "conflict"]


def test_refused_connection_is_unavailable() -> None:
    database = Database("postgresql://u:p@127.0.0.1:1/x", name="tests", size=1, wait_seconds=1)
    with pytest.raises(Unavailable), database.transaction():
        pass


def test_copied_rows_belong_to_the_transaction(db: Database) -> None:
    with db.transaction() as tx:
        assert tx.copy_in("COPY effects (name) FROM STDIN", io.BytesIO(b"one\nit's\n")) == 2
    assert effect_names(db) == ["one", "it's"]
    with pytest.raises(KeyError), db.transaction() as tx:
        tx.copy_in("COPY effects (name) FROM STDIN", io.BytesIO(b"rolled back\n"))
        raise KeyError
    assert effect_names(db) == ["one", "it's"]
