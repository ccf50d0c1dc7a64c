"""Reads a document from the read replica if the replica has its current version, otherwise from the primary."""

from typing import Any

from chassis.db import Database
from chassis.errors import Unavailable

# The version, the document and, for charts and attainment, the number of points or buckets.
Row = tuple[Any, ...]


class ReplicaAwareReader:
    def __init__(self, primary: Database, replica: Database | None) -> None:
        self._primary, self._replica = primary, replica

    def find(self, version: str, sql: str, params: dict[str, Any]) -> Row | None:
        """Return the document in the version that the primary stated, or in a later one."""
        row = self._find_in_replica(sql, params)
        return row if row and row[0] == version else _find(self._primary, sql, params)

    def _find_in_replica(self, sql: str, params: dict[str, Any]) -> Row | None:
        try:
            return _find(self._replica, sql, params) if self._replica else None
        except Unavailable:
            return None


def _find(database: Database, sql: str, params: dict[str, Any]) -> Row | None:
    with database.statements() as tx:
        rows = tx.rows(sql, **params)
    return rows[0] if rows else None
