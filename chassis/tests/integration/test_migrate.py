"""Migrations are applied once, completely, and by one process at a time."""

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


def migration(number: int, sql: str) -> Migration:
    return Migration("tests", f"{number:04}_change.sql", sql)


@pytest.fixture
def empty_url(settings: ServiceSettings) -> Iterator[str]:
    """The URL of a schema without any migrations."""
    connection = db.connect(settings.database_url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA fresh")
        yield f"{settings.database_url}?options=-csearch_path%3Dfresh"
        cursor.execute("DROP SCHEMA fresh CASCADE")
    connection.close()


def tables(url: str) -> set[str]:
    database = db.Database(url, name="tests", size=1, wait_seconds=30)
    with database.transaction() as tx:
        names = {row[0] for row in tx.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'fresh'")}
    database.close()
    return names


def test_migrations_are_applied_in_order_and_once(empty_url: str) -> None:
    migrations = [
        migration(1, "CREATE TABLE a (n int)"),
        migration(2, "ALTER TABLE a ADD m int; CREATE TABLE b (n int)"),
    ]
    assert migrate(empty_url, "fresh", migrations) == 2
    assert migrate(empty_url, "fresh", migrations) == 0
    assert migrate(empty_url, "fresh", [*migrations, migration(3, "CREATE TABLE c (note text DEFAULT '100%')")]) == 1
    assert tables(empty_url) == {"a", "b", "c", "schema_migrations"}


def test_migrations_of_the_chassis_precede_those_of_the_service() -> None:
    *sources, last = [migration.source for migration in migrations_of("chassis", "probe_service")]
    assert (set(sources), last) == ({"chassis"}, "probe_service")


def test_concurrent_runs_apply_each_migration_once(empty_url: str) -> None:
    migrations = [migration(number, f"CREATE TABLE t{number} (n int); SELECT pg_sleep(0.05)") for number in range(4)]
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(migrate(empty_url, "fresh", migrations))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 0, 0, 0, 4]


def test_killed_run_leaves_neither_a_lock_nor_a_partial_migration(
    empty_url: str, eventually: Callable[..., Any]
) -> None:
    program = """
import sys
from chassis.db.migrate import Migration, migrate
migrate(sys.argv[1], "fresh", [Migration("tests", "0001_change.sql", "CREATE TABLE a (n int)"),
    Migration("tests", "0002_change.sql", "CREATE TABLE b (n int); SELECT pg_sleep(30)")])
"""
    holder = subprocess.Popen([sys.executable, "-c", program, empty_url])
    eventually(lambda: "a" in tables(empty_url))
    applied: list[int] = []
    migrations = [migration(1, "CREATE TABLE a (n int)"), migration(2, "CREATE TABLE c (n int)")]
    successor = threading.Thread(target=lambda: applied.append(migrate(empty_url, "fresh", migrations)))
    successor.start()
    holder.kill()
    holder.wait()
    successor.join(60)
    assert applied == [1]
    assert tables(empty_url) == {"a", "c", "schema_migrations"}


def concurrent_index() -> Migration:
    sql = "-- no transaction\nDROP INDEX IF EXISTS a_n;\nCREATE INDEX CONCURRENTLY a_n ON a (n);\n"
    return migration(2, sql)


def is_index_valid(url: str) -> bool:
    database = db.Database(url, name="tests", size=1, wait_seconds=30)
    with database.transaction() as tx:
        is_valid = tx.value("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('a_n')")
    database.close()
    return bool(is_valid)


def test_index_is_built_while_others_write_and_wait_for_the_migrations(
    empty_url: str, eventually: Callable[..., Any]
) -> None:
    migrate(empty_url, "fresh", [migration(1, "CREATE TABLE a (n int)")])
    writer = db.connect(empty_url, name="writer")
    writer.cursor().execute("INSERT INTO a (n) VALUES (1)")
    migrations = [migration(1, "CREATE TABLE a (n int)"), concurrent_index()]
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(migrate(empty_url, "fresh", migrations))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    observer = db.Database(empty_url, name="tests", size=1, wait_seconds=30)

    def is_building() -> bool:
        with observer.transaction() as tx:
            return bool(tx.value("SELECT 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%%'"))

    eventually(is_building)
    with observer.transaction() as tx:
        tx.run("INSERT INTO a (n) VALUES (2)")
    observer.close()
    writer.commit()
    writer.close()
    for thread in threads:
        thread.join(60)
    assert sorted(counts) == [0, 0, 1]
    assert is_index_valid(empty_url)


def test_interrupted_migration_without_a_transaction_is_repeated(empty_url: str) -> None:
    migrate(empty_url, "fresh", [migration(1, "CREATE TABLE a (n int); INSERT INTO a VALUES (1), (1)")])
    unique = "-- no transaction\nDROP INDEX IF EXISTS a_n;\nCREATE UNIQUE INDEX CONCURRENTLY a_n ON a (n);\n"
    first = migration(1, "CREATE TABLE a (n int); INSERT INTO a VALUES (1), (1)")
    with pytest.raises(MigrationError, match=r"0002_change.sql: could not create unique index"):
        migrate(empty_url, "fresh", [first, migration(2, unique)])
    # Postgres leaves an invalid index behind.
    assert not is_index_valid(empty_url)
    assert migrate(empty_url, "fresh", [first, concurrent_index()]) == 1
    assert is_index_valid(empty_url)


def test_changed_or_removed_migration_is_rejected(empty_url: str) -> None:
    migrate(empty_url, "fresh", [migration(1, "CREATE TABLE a (n int)"), migration(2, "CREATE TABLE b (n int)")])
    with pytest.raises(MigrationError, match=r"tests/migrations/0001_change.sql was changed"):
        migrate(empty_url, "fresh", [migration(1, "CREATE TABLE x (n int)"), migration(2, "CREATE TABLE b (n int)")])
    with pytest.raises(MigrationError, match=r"0002_change.sql was removed"):
        migrate(empty_url, "fresh", [migration(1, "CREATE TABLE a (n int)")])


def test_failed_migration_has_no_effect_and_is_named(empty_url: str) -> None:
    migrations = [
        migration(1, "CREATE TABLE a (n int)"),
        migration(2, "CREATE TABLE b (n int); CREATE TABLE a (n int)"),
    ]
    with pytest.raises(MigrationError, match=r"0002_change.sql: relation .a. already exists"):
        migrate(empty_url, "fresh", migrations)
    assert tables(empty_url) == {"a", "schema_migrations"}


@pytest.mark.slow
def test_lock_held_by_running_code_times_out(empty_url: str) -> None:
    """The caller retries: readers must not queue up for long after a migration that itself waits for a lock."""
    migrate(empty_url, "fresh", [migration(1, "CREATE TABLE a (n int)")])
    holder = db.connect(empty_url, name="holder")
    holder.cursor().execute("SELECT * FROM a")
    with pytest.raises(Unavailable, match="timed out"):
        migrate(empty_url, "fresh", [migration(1, "CREATE TABLE a (n int)"), migration(2, "ALTER TABLE a ADD m int")])
    holder.close()


def test_previous_version_continues_with_the_new_schema(empty_url: str) -> None:
    """Only `migrate` itself compares the files with the database."""
    migrate(empty_url, "fresh", [migration(1, "CREATE TABLE a (n int)")])
    database = db.Database(empty_url, name="old", size=1, wait_seconds=30)
    with database.transaction() as tx:
        tx.run("INSERT INTO a (n) VALUES (1)")
    migrate(empty_url, "fresh", [migration(1, "CREATE TABLE a (n int)"), migration(2, "ALTER TABLE a ADD m int")])
    with database.transaction() as tx:
        tx.run("INSERT INTO a (n) VALUES (2)")
        assert tx.value("SELECT count(*) FROM a") == 2
    database.close()
