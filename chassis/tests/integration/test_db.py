"""Transactions: commit, roll back, say what went wrong."""

import io
import threading
from typing import Any

import pytest

from chassis.db import Database, UniqueViolation
from chassis.errors import Conflict, Unavailable


def names(db: Database) -> list[str]:
    with db.transaction() as tx:
        return [row[0] for row in tx.rows("SELECT name FROM effects ORDER BY id")]


def add(tx: Any, name: str) -> None:
    tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=name)


def test_leaving_the_block_commits_and_raising_rolls_back(db: Database) -> None:
    with db.transaction() as tx:
        add(tx, "kept")
    with pytest.raises(KeyError), db.transaction() as tx:
        add(tx, "lost")
        raise KeyError
    assert names(db) == ["kept"]


def test_rows_come_in_every_shape(db: Database) -> None:
    with db.transaction() as tx:
        tx.insert_many("INSERT INTO effects (name) VALUES %s", [(f"n{number}",) for number in range(1500)])
        assert tx.find("SELECT name FROM effects WHERE name = 'none'") is None
        assert tx.one("SELECT 1 AS a, 'x' AS b") == {"a": 1, "b": "x"}
        assert tx.value("SELECT count(*) FROM effects") == 1500
        assert len(tx.all("SELECT id, name FROM effects")) == 1500
        assert tx.run("DELETE FROM effects WHERE name < 'n2'") > 0
        with pytest.raises(LookupError):
            tx.one("SELECT 1 WHERE false")


def test_a_failed_statement_leaves_no_connection_in_an_aborted_transaction(db: Database) -> None:
    for _ in range(10):
        with pytest.raises(UniqueViolation), db.transaction() as tx:
            tx.run("INSERT INTO schema_migrations SELECT * FROM schema_migrations")
    assert names(db) == []


def test_a_statement_that_takes_too_long_is_unavailable(db: Database) -> None:
    with pytest.raises(Unavailable, match="too long"), db.transaction() as tx:
        tx.run("SET LOCAL statement_timeout = '50ms'")
        tx.value("SELECT pg_sleep(5)")
    assert names(db) == []


def test_a_lock_that_does_not_come_is_unavailable(db: Database) -> None:
    with db.transaction() as holder:
        holder.run("LOCK TABLE effects")
        with pytest.raises(Unavailable), db.transaction() as tx:
            tx.run("SET LOCAL lock_timeout = '50ms'")
            add(tx, "late")


def test_a_transaction_that_idled_too_long_is_unavailable(db: Database) -> None:
    with pytest.raises(Unavailable), db.transaction() as tx:
        tx.run("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
        threading.Event().wait(0.2)
        add(tx, "late")
    assert names(db) == []


def test_two_that_block_each_other_are_told_to_try_again(db: Database) -> None:
    both = threading.Barrier(2)
    outcomes: list[str] = []

    def change(first: int, second: int) -> None:
        try:
            with db.transaction() as tx:
                tx.value("SELECT pg_advisory_xact_lock(%(key)s)", key=first)
                both.wait()
                tx.value("SELECT pg_advisory_xact_lock(%(key)s)", key=second)
            outcomes.append("done")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=change, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict", "done"]


def test_an_address_where_nobody_listens_is_unavailable() -> None:
    database = Database("postgresql://u:p@127.0.0.1:1/x", name="tests", size=1, wait_seconds=1)
    with pytest.raises(Unavailable), database.transaction():
        pass


def test_copy_takes_rows_in_with_the_transaction(db: Database) -> None:
    with db.transaction() as tx:
        assert tx.copy_in("COPY effects (name) FROM STDIN", io.BytesIO(b"one\nit's\n")) == 2
    assert names(db) == ["one", "it's"]
    with pytest.raises(KeyError), db.transaction() as tx:
        tx.copy_in("COPY effects (name) FROM STDIN", io.BytesIO(b"lost\n"))
        raise KeyError
    assert names(db) == ["one", "it's"]
