"""Numbered SQL files, each applied once, in one transaction, by one process at a time."""

import hashlib
import zlib
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from chassis import db
from chassis.runtime import logs

log = logs.logger(__name__)

# The first half of the advisory lock's key; the second is the service.
_NAMESPACE = 0x51746D67

_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        source text NOT NULL,
        name text NOT NULL,
        sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT schema_migrations_pkey PRIMARY KEY (source, name)
    )
"""


class MigrationError(Exception):
    """The files and the database disagree; somebody has to look."""


@dataclass(frozen=True)
class Migration:
    source: str
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations_of(*packages: str) -> list[Migration]:
    """The files of each package's `migrations` folder, in the order of the packages and of their numbers."""
    return [
        Migration(package, file.name, file.read_text(encoding="utf-8"))
        for package in packages
        for file in sorted(files(package).joinpath("migrations").iterdir(), key=lambda file: file.name)
        if file.name.endswith(".sql")
    ]


def migrate(dsn: str, service: str, migrations: list[Migration]) -> int:
    """How many were applied. Two at once: one works, the other waits; a killed one leaves no lock and no half file.

    Raises MigrationError when a file that was applied has changed since, or is gone; Unavailable as a transaction does.
    """
    with db.translate_db_errors(), closing(db.connect(dsn, name=f"{service}-migrate", autocommit=True)) as connection:
        with connection.cursor() as cursor:
            # The wait for another's migration is no lock that should time out.
            cursor.execute("SET lock_timeout = 0; SET statement_timeout = 0")
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", (_NAMESPACE, _key(service)))
            cursor.execute("SET lock_timeout = '5s'")
            cursor.execute(_TABLE)
        applied = _applied(connection)
        _refuse_drift(applied, migrations)
        waiting = [migration for migration in migrations if (migration.source, migration.name) not in applied]
        connection.autocommit = False
        for migration in waiting:
            _apply(connection, migration)
        return len(waiting)


def _key(service: str) -> int:
    return zlib.crc32(service.encode()) - 2**31


def _applied(connection: Any) -> dict[tuple[str, str], str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT source, name, sha256 FROM schema_migrations")
        return {(source, name): sha256 for source, name, sha256 in cursor.fetchall()}


def _refuse_drift(applied: dict[tuple[str, str], str], migrations: list[Migration]) -> None:
    known = {(migration.source, migration.name): migration.sha256 for migration in migrations}
    for key, sha256 in applied.items():
        if known.get(key) != sha256:
            what = "has changed since it was applied" if key in known else "was applied and is gone"
            raise MigrationError(f"{key[0]}/migrations/{key[1]} {what}; write a new file instead")


def _apply(connection: Any, migration: Migration) -> None:
    with connection.cursor() as cursor:
        try:
            cursor.execute(migration.sql)
        except db.StatementError as error:
            raise MigrationError(f"{migration.source}/migrations/{migration.name}: {error}") from error
        cursor.execute(
            "INSERT INTO schema_migrations (source, name, sha256) VALUES (%s, %s, %s)",
            (migration.source, migration.name, migration.sha256),
        )
    connection.commit()
    log.info("migrate.applied", source=migration.source, name=migration.name)
