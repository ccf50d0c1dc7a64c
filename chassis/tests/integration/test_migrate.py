"""Migrations: once each, one process at a time, and nothing half done."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chassis import db
from chassis.db.migrate import Migration, MigrationError, migrate, migrations_of
from chassis.errors import Unavailable
from chassis.runtime.config import ServiceSettings


def a_file(number: int, sql: str) -> Migration:
    return Migration("tests", f"{number:04}_change.sql", sql)


@pytest.fixture
def empty(settings: ServiceSettings) -> Iterator[str]:
    """The address of a database where nothing was migrated yet."""
    connection = db.connect(settings.database_url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA fresh")
        yield f"{settings.database_url}?options=-csearch_path%3Dfresh"
        cursor.execute("DROP SCHEMA fresh CASCADE")
    connection.close()


def tables(url: str) -> set[str]:
    database = db.Database(url, name="tests", size=1, wait_seconds=1)
    with database.transaction() as tx:
        found = {row[0] for row in tx.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'fresh'")}
    database.close()
    return found


def test_files_are_applied_in_order_and_once(empty: str) -> None:
    files = [a_file(1, "CREATE TABLE a (n int)"), a_file(2, "ALTER TABLE a ADD m int; CREATE TABLE b (n int)")]
    assert migrate(empty, "fresh", files) == 2
    assert migrate(empty, "fresh", files) == 0
    assert migrate(empty, "fresh", [*files, a_file(3, "CREATE TABLE c (note text DEFAULT '100%')")]) == 1
    assert tables(empty) == {"a", "b", "c", "schema_migrations"}


def test_the_chassis_comes_before_the_service() -> None:
    assert [file.source for file in migrations_of("chassis", "probe_service")] == ["chassis", "probe_service"]


def test_five_at_once_apply_each_file_once(empty: str) -> None:
    files = [a_file(number, f"CREATE TABLE t{number} (n int); SELECT pg_sleep(0.05)") for number in range(4)]
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(migrate(empty, "fresh", files))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 0, 0, 0, 4]


def test_a_killed_one_leaves_neither_lock_nor_half_a_file(empty: str, eventually: Callable[..., Any]) -> None:
    program = """
import sys
from chassis.db.migrate import Migration, migrate
migrate(sys.argv[1], "fresh", [Migration("tests", "0001_change.sql", "CREATE TABLE a (n int)"),
    Migration("tests", "0002_change.sql", "CREATE TABLE b (n int); SELECT pg_sleep(30)")])
"""
    holder = subprocess.Popen([sys.executable, "-c", program, empty])
    eventually(lambda: "a" in tables(empty))
    applied: list[int] = []
    files = [a_file(1, "CREATE TABLE a (n int)"), a_file(2, "CREATE TABLE c (n int)")]
    successor = threading.Thread(target=lambda: applied.append(migrate(empty, "fresh", files)))
    successor.start()
    holder.kill()
    holder.wait()
    successor.join(20)
    assert applied == [1]
    assert tables(empty) == {"a", "c", "schema_migrations"}


def test_a_file_that_changed_or_is_gone_is_refused(empty: str) -> None:
    migrate(empty, "fresh", [a_file(1, "CREATE TABLE a (n int)"), a_file(2, "CREATE TABLE b (n int)")])
    with pytest.raises(MigrationError, match=r"tests/migrations/0001_change.sql has changed"):
        migrate(empty, "fresh", [a_file(1, "CREATE TABLE x (n int)"), a_file(2, "CREATE TABLE b (n int)")])
    with pytest.raises(MigrationError, match=r"0002_change.sql was applied and is gone"):
        migrate(empty, "fresh", [a_file(1, "CREATE TABLE a (n int)")])


def test_a_file_that_fails_leaves_nothing_and_says_which_it_is(empty: str) -> None:
    files = [a_file(1, "CREATE TABLE a (n int)"), a_file(2, "CREATE TABLE b (n int); CREATE TABLE a (n int)")]
    with pytest.raises(MigrationError, match=r"0002_change.sql: relation .a. already exists"):
        migrate(empty, "fresh", files)
    assert tables(empty) == {"a", "schema_migrations"}


def test_a_lock_that_running_code_holds_is_waited_for_not_for_ever(empty: str) -> None:
    """The caller tries again: readers must not queue behind a migration that itself waits."""
    migrate(empty, "fresh", [a_file(1, "CREATE TABLE a (n int)")])
    holder = db.connect(empty, name="holder")
    holder.cursor().execute("SELECT * FROM a")
    with pytest.raises(Unavailable, match="too long"):
        migrate(empty, "fresh", [a_file(1, "CREATE TABLE a (n int)"), a_file(2, "ALTER TABLE a ADD m int")])
    holder.close()


def test_code_of_before_goes_on_beside_the_new_schema(empty: str) -> None:
    """Nothing but `migrate` itself compares files with the database."""
    migrate(empty, "fresh", [a_file(1, "CREATE TABLE a (n int)")])
    database = db.Database(empty, name="old", size=1, wait_seconds=1)
    with database.transaction() as tx:
        tx.run("INSERT INTO a (n) VALUES (1)")
    migrate(empty, "fresh", [a_file(1, "CREATE TABLE a (n int)"), a_file(2, "ALTER TABLE a ADD m int")])
    with database.transaction() as tx:
        tx.run("INSERT INTO a (n) VALUES (2)")
        assert tx.value("SELECT count(*) FROM a") == 2
    database.close()
