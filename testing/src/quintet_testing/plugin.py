"""A pytest plugin: a real Postgres for a service's tests, clean before each."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import pytest

from chassis import db as postgres
from chassis.db.migrate import migrate, migrations_of
from chassis.runtime.config import ServiceSettings
from quintet_testing import waiting
from quintet_testing.postgres import TemporaryPostgres

_TIMEOUTS = (
    "statement_timeout = '30s'",
    "lock_timeout = '5s'",
    "idle_in_transaction_session_timeout = '30s'",
)

AnySettings = TypeVar("AnySettings", bound=ServiceSettings)


def pytest_configure() -> None:
    import hypothesis

    # A busy machine is no fault of what is tested.
    hypothesis.settings.register_profile(
        "patient", deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    hypothesis.settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let pytest-xdist run the tests of one file in one process, because they share servers."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Of an administrator, at TEST_DATABASE_URL or in a server that is thrown away."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    with temporary_postgres() as url:
        yield url


@contextlib.contextmanager
def temporary_postgres() -> Iterator[str]:
    server = TemporaryPostgres()
    try:
        server.start()
        yield server.url
        server.stop()
    finally:
        server.remove()


def migrated(settings: type[AnySettings], word: str, admin_url: str, **more: Any) -> AnySettings:
    """Settings for a service with a database, a role and a schema of its own, migrated by the real runner."""
    name = f"{word}_{secrets.token_hex(4)}"
    admin = postgres.connect(admin_url, name="tests", autocommit=True)
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        # As deploy/postgres/roles.sql has them.
        for setting in (f"search_path = {word}", *_TIMEOUTS):
            cursor.execute(f"ALTER ROLE {name} SET {setting}")
        cursor.execute(f"CREATE DATABASE {name} OWNER {name}")
    admin.close()
    parts = urlsplit(admin_url)
    address = f"{parts.hostname}:{parts.port}"
    url = urlunsplit(parts._replace(netloc=f"{name}:{name}@{address}", path=f"/{name}"))
    connection = postgres.connect(url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {word} AUTHORIZATION {name}")
        migrate(url, word, migrations_of("chassis", f"{word}_service"))
        cursor.execute("CREATE SCHEMA seed")
        for table in _tables(cursor):
            cursor.execute(f"CREATE TABLE seed.{table} AS TABLE {table}")
    connection.close()
    return settings(database_url=url, **more)


def _tables(cursor: Any) -> list[str]:
    cursor.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'schema_migrations'"
    )
    return [row[0] for row in cursor.fetchall()]


@pytest.fixture
def db(settings: ServiceSettings) -> Iterator[postgres.Database]:
    """The service's database as its migrations left it; `settings` comes from the service's conftest."""
    connection = postgres.connect(settings.database_url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        tables = _tables(cursor)
        # One statement: foreign keys are checked at its end.
        parts = [f"cleared_{table} AS (DELETE FROM {table})" for table in tables]
        cursor.execute(f"WITH {', '.join(parts)} SELECT 1")
        for table in tables:
            cursor.execute(f"SELECT EXISTS (SELECT FROM seed.{table})")
            if cursor.fetchone()[0]:
                cursor.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE seed.{table}")
    connection.close()
    database = postgres.Database(settings.database_url, name="tests", size=4, wait_seconds=5)
    yield database
    database.close()


@pytest.fixture
def client(app: Any, db: postgres.Database) -> Iterator[Any]:
    """`app` comes from the service's conftest; after each test its own checks are asked."""
    client = app.test_client()
    yield client
    found = client.get("/invariants").json
    assert found["status"] == "OK", found


@pytest.fixture
def outbox(db: postgres.Database) -> Any:
    """Call it for the (type, body) pairs that wait to be published."""
    from chassis.strictjson import loads

    def waiting() -> list[tuple[str, Any]]:
        with db.transaction() as tx:
            rows = tx.rows("SELECT type, body FROM outbox ORDER BY id")
        return [(type_, loads(body.encode())) for type_, body in rows]

    return waiting


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    return waiting.eventually


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
