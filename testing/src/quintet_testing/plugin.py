"""A pytest plugin: a real Postgres for a service's tests, reset before each test."""

import contextlib
import os
import secrets
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis import db as postgres
from chassis.db.migrate import Migration, migrate, migrations_of
from chassis.runtime.config import ServiceSettings
from chassis.web.app import App
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

    # No deadlines: a busy machine is not a defect of the code under test.
    hypothesis.settings.register_profile(
        "patient", deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    hypothesis.settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let pytest-xdist keep tests that share servers in one process, regardless of `--dist`."""
    from quintet_testing.scheduling import SharedServerScheduling

    return SharedServerScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Escape lone surrogates in reports: pytest-xdist cannot send them from one process to another."""
    return _without_surrogates((yield))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _without_surrogates(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_without_surrogates(child) for child in value)
    return value


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of an administrator, from TEST_DATABASE_URL or of a temporary server."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
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


def migrated(settings: type[AnySettings], service: str, admin_url: str, **values: Any) -> AnySettings:
    """Create a database, role and schema for a service, migrate them as in production, and return its settings."""
    name = f"{service}_{secrets.token_hex(4)}"
    admin = postgres.connect(admin_url, name="tests", autocommit=True)
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        # The same settings as in deploy/postgres/roles.sql.
        for setting in (f"search_path = {service}", *_TIMEOUTS):
            cursor.execute(f"ALTER ROLE {name} SET {setting}")
        cursor.execute(f"CREATE DATABASE {name} OWNER {name}")
    admin.close()
    parts = urlsplit(admin_url)
    address = f"{parts.hostname}:{parts.port}"
    url = urlunsplit(parts._replace(netloc=f"{name}:{name}@{address}", path=f"/{name}"))
    connection = postgres.connect(url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {service} AUTHORIZATION {name}")
        migrate(url, service, migrations_of("chassis", f"{service}_service"))
        cursor.execute("CREATE SCHEMA seed")
        for table in _tables(connection):
            cursor.execute(f"CREATE TABLE seed.{table} AS TABLE {table}")
    connection.close()
    # On a busy machine, concurrent requests wait for a connection instead of returning 503.
    return settings(**{"database_url": url, "pool_wait_seconds": 60, **values})


def _tables(connection: postgres.Connection) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'schema_migrations'"
        )
        return [row[0] for row in cursor.fetchall()]


@pytest.fixture
def db(settings: ServiceSettings) -> Iterator[postgres.Database]:
    """The service's database as its migrations created it; the service's conftest defines `settings`."""
    connection = postgres.connect(settings.database_url, name="tests", autocommit=True)
    tables = _tables(connection)
    with connection.cursor() as cursor:
        # A single statement, because foreign keys are checked at its end.
        parts = [f"cleared_{table} AS (DELETE FROM {table})" for table in tables]
        cursor.execute(f"WITH {', '.join(parts)} SELECT 1")
        for table in tables:
            cursor.execute(f"SELECT 1 FROM seed.{table} LIMIT 1")
            if cursor.fetchone():
                cursor.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE seed.{table}")
    connection.close()
    database = postgres.Database(settings.database_url, name="tests", size=4, wait_seconds=60)
    yield database
    database.close()


class OldDatabase:
    """A database in a separate schema, with all migrations before `first_new_migration` of the service."""

    def __init__(self, settings: ServiceSettings, service: str, first_new_migration: str) -> None:
        self._schema, self._service = f"old_{secrets.token_hex(4)}", service
        self._admin = postgres.connect(settings.database_url, name="tests", autocommit=True)
        with self._admin.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {self._schema}")
        url = f"{settings.database_url}?options=-csearch_path%3D{self._schema}"
        self.settings = settings.model_copy(update={"database_url": url})
        earlier = [item for item in self._migrations() if item.source == "chassis" or item.name < first_new_migration]
        migrate(url, service, earlier)
        self._database = postgres.Database(url, name="tests", size=2, wait_seconds=60)

    def rows(self, sql: str, **params: object) -> list[tuple[Any, ...]]:
        with self._database.transaction() as tx:
            return tx.rows(sql, **params)

    def run(self, sql: str, **params: object) -> int:
        with self._database.transaction() as tx:
            return tx.run(sql, **params)

    def describe(self, *tables: str) -> list[tuple[Any, ...]]:
        """Return the columns and constraints of the tables."""
        columns = self.rows(
            """
            SELECT attrelid::regclass::text, attname, atttypid::regtype::text, attnotnull, attstorage,
                   pg_get_expr(adbin, adrelid)
            FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
            WHERE attrelid = ANY (%(tables)s::regclass[]) AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2
            """,
            tables=list(tables),
        )
        return columns + self.rows(
            """
            SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conrelid = ANY (%(tables)s::regclass[]) AND contype <> 'n' ORDER BY 1
            """,
            tables=list(tables),
        )

    def upgrade(self) -> None:
        migrate(self.settings.database_url, self._service, self._migrations())

    def remove(self) -> None:
        self._database.close()
        with self._admin.cursor() as cursor:
            cursor.execute(f"DROP SCHEMA {self._schema} CASCADE")
        self._admin.close()

    def _migrations(self) -> list[Migration]:
        return migrations_of("chassis", f"{self._service}_service")


@pytest.fixture
def old_database(app: App, request: pytest.FixtureRequest) -> Iterator[OldDatabase]:
    """Return a database of the version before the migration FIRST_NEW_MIGRATION of the test's module."""
    database = OldDatabase(cast(ServiceSettings, app.settings), app.service, request.module.FIRST_NEW_MIGRATION)
    yield database
    database.remove()


@pytest.fixture
def client(app: Flask, db: postgres.Database) -> Iterator[FlaskClient]:
    """A client of the app, whose invariants must hold after each test; the service's conftest defines `app`."""
    client = app.test_client()
    yield client
    report = client.get("/invariants").json
    assert report and report["status"] == "OK", report


@pytest.fixture
def outbox(db: postgres.Database) -> Callable[[], list[tuple[str, Any]]]:
    """Return the type and body of each unsent message."""
    from chassis.strictjson import loads

    def unsent() -> list[tuple[str, Any]]:
        with db.transaction() as tx:
            rows = tx.rows("SELECT type, body FROM outbox ORDER BY id")
        return [(type_, loads(body.encode())) for type_, body in rows]

    return unsent


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    return waiting.eventually


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
