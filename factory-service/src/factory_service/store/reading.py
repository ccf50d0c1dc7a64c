"""Reads an answer from the leader, or from a follower that has come as far."""

from typing import Any

from chassis.db import Database
from chassis.errors import Unavailable
from factory_service.domain.tags import version_in

# Reader and writer of one thing exclude each other here; nothing of it is written to disk.
_LOCK = "SELECT pg_advisory_xact_lock_shared(hashtextextended(%(entity)s, 7)); "
_VERSION_OF = {
    "factory": "SELECT version FROM factories WHERE id = %(id)s",
    "sprocket": "SELECT version FROM sprockets WHERE id = %(id)s",
    "factories": "SELECT version FROM collections WHERE name = 'factories'",
    "sprockets": "SELECT version FROM collections WHERE name = 'sprockets'",
}

Row = tuple[Any, ...]


class Sources:
    def __init__(self, leader: Database, follower: Database | None) -> None:
        self._leader, self._follower = leader, follower

    def find(self, entity: str, sql: str, params: dict[str, Any], *, locked: bool) -> Row | None:
        """What was committed when this began; `locked`: also what was being committed then.

        A statement after the lock has a snapshot of its own, so it sees what the writer did that it waited for.
        """
        lock = _LOCK if locked else ""
        if self._follower:
            version = self._one(self._leader, lock + _VERSION_OF[entity.partition(":")[0]], params, entity)
            if version is None:
                return None
            row = self._from_follower(sql, params)
            if row and version_in(row[0]) >= version[0]:
                return row
        return self._one(self._leader, lock + sql, params, entity)

    def _from_follower(self, sql: str, params: dict[str, Any]) -> Row | None:
        try:
            return self._one(self._follower, sql, params, "")
        except Unavailable:
            return None

    @staticmethod
    def _one(database: Any, sql: str, params: dict[str, Any], entity: str) -> Row | None:
        with database.statements() as tx:
            rows = tx.rows(sql, entity=entity, **params)
        return rows[0] if rows else None
