"""Migrations: numbered SQL files, each applied once, in its own transaction, by one process at a time.

A file that begins with the line `-- no transaction` is for statements that Postgres allows only outside of one, such as
CREATE INDEX CONCURRENTLY. It is executed again if it was interrupted, so it must begin by removing what it left behind.
"""

import hashlib
import time
import zlib
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from chassis import db
from chassis.runtime import logs

log = logs.logger(__name__)

# The first half of the advisory lock's key; the second half identifies the service.
_LOCK_NAMESPACE = 0x51746D67
_LOCK_RETRY_SECONDS = 0.1
_NO_TRANSACTION = "-- no transaction\n"

_CREATE_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        source text NOT NULL,
        name text NOT NULL,
        sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT schema_migrations_pkey PRIMARY KEY (source, name)
    )
"""


class MigrationError(Exception):
    """The migration files and the database contradict each other; an operator must intervene."""


@dataclass(frozen=True)
class Migration:
    source: str
    name: str
    sql: str

    @property
    def has_transaction(self) -> bool:
        return not self.sql.startswith(_NO_TRANSACTION)

    @property
    def statements(self) -> list[str]:
        """Without a transaction, statements are executed one by one: Postgres makes those of a text a transaction."""
        return [self.sql] if self.has_transaction else self.sql.removesuffix(";\n").split(";\n")

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_of(*packages: str) -> list[Migration]:
    """Return the files in the `migrations` folder of each package, ordered by package and number."""
    return [
        Migration(package, file.name, file.read_text(encoding="utf-8"))
        for package in packages
        for file in sorted(files(package).joinpath("migrations").iterdir(), key=lambda file: file.name)
        if file.name.endswith(".sql")
    ]


def migrate(dsn: str, service: str, migrations: list[Migration]) -> int:
    """Apply all pending migrations and return their number.

    Of two concurrent calls, one waits for the other. A process that is killed leaves neither a lock nor a half-applied
    file behind. Raises MigrationError if an applied file was changed or removed, and Unavailable like a transaction.
    """
    with db.translate_db_errors(), closing(db.connect(dsn, name=f"{service}-migrate", autocommit=True)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            # No statement may wait for the lock: CREATE INDEX CONCURRENTLY waits for statements of other processes.
            while not _try_lock(cursor, service):
                time.sleep(_LOCK_RETRY_SECONDS)
            cursor.execute("SET lock_timeout = '5s'")
            cursor.execute(_CREATE_TABLE)
        applied = _applied_checksums(connection)
        _reject_drift(applied, migrations)
        pending = [migration for migration in migrations if (migration.source, migration.name) not in applied]
        for migration in pending:
            connection.autocommit = not migration.has_transaction
            _apply(connection, migration)
        return len(pending)


def _try_lock(cursor: Any, service: str) -> bool:
    key = zlib.crc32(service.encode()) - 2**31
    cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", (_LOCK_NAMESPACE, key))
    return bool(cursor.fetchone()[0])


def _applied_checksums(connection: db.Connection) -> dict[tuple[str, str], str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT source, name, sha256 FROM schema_migrations")
        return {(source, name): sha256 for source, name, sha256 in cursor.fetchall()}


def _reject_drift(applied: dict[tuple[str, str], str], migrations: list[Migration]) -> None:
    expected = {(migration.source, migration.name): migration.sha256 for migration in migrations}
    for (source, name), sha256 in applied.items():
        if expected.get((source, name)) != sha256:
            change = "was changed" if (source, name) in expected else "was removed"
            raise MigrationError(
                f"{source}/migrations/{name} {change} after it was applied; restore it, and write a new migration"
            )


def _apply(connection: db.Connection, migration: Migration) -> None:
    with connection.cursor() as cursor:
        try:
            # An index that is built concurrently blocks nothing while it waits for other transactions.
            cursor.execute(f"SET lock_timeout = '{'5s' if migration.has_transaction else '0'}'")
            for statement in migration.statements:
                cursor.execute(statement)
        except db.StatementError as error:
            raise MigrationError(f"{migration.source}/migrations/{migration.name}: {error}") from error
        cursor.execute(
            "INSERT INTO schema_migrations (source, name, sha256) VALUES (%s, %s, %s)",
            (migration.source, migration.name, migration.sha256),
        )
    connection.commit()
    log.info("migrate.applied", source=migration.source, name=migration.name)
