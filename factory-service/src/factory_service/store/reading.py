"""Reads an answer from the leader, or from a follower that has come as far."""

from functools import partial
from typing import Any

from chassis.db import Database
from chassis.errors import Unavailable
from chassis.runtime.batching import Batcher
from factory_service.domain.tags import version_in
from factory_service.store import charts

# Reader and writer of one thing exclude each other here; nothing of it is written to disk.
_LOCK = "SELECT pg_advisory_xact_lock_shared(hashtextextended(%(entity)s, 7)); "
_VERSION_OF = {
    "factory": "SELECT version FROM factories WHERE id = %(id)s",
    "sprocket": "SELECT version FROM sprockets WHERE id = %(id)s",
    "factories": "SELECT version FROM collections WHERE name = 'factories'",
    "sprockets": "SELECT version FROM collections WHERE name = 'sprockets'",
}

_VERSIONS = "SELECT id, version FROM factories WHERE id = ANY(%(ids)s)"

Row = tuple[Any, ...]


class Sources:
    def __init__(self, leader: Database, follower: Database | None) -> None:
        self._leader, self._follower = leader, follower
        self._together = {part: Batcher(partial(self._find_several, sql)) for part, sql in charts.SEVERAL.items()}

    def find_chart(self, part: str, id_: int) -> Row | None:
        """Whole, as it was committed when this began, in one statement with those that others ask for meanwhile.

        Without its body where there is too much of it for that.
        """
        return self._together[part].submit(id_)

    def find(self, entity: str, sql: str, params: dict[str, Any], *, locked: bool) -> Row | None:
        """What was committed when this began; `locked`: also what was being committed then.

        A statement after the lock has a snapshot of its own, so it sees what the writer did that it waited for.
        """
        lock = _LOCK if locked else ""
        if self._follower:
            version = _one(self._rows(self._leader, lock + _VERSION_OF[entity.partition(":")[0]], params, entity))
            if version is None:
                return None
            row = _one(self._from_follower(sql, params))
            if row and version_in(row[0]) >= version[0]:
                return row
        return _one(self._rows(self._leader, lock + sql, params, entity))

    def _find_several(self, sql: str, ids: list[int]) -> list[Row | None]:
        found = self._from_both(sql, ids) if self._follower else _by_id(self._rows(self._leader, sql, {"ids": ids}))
        return [found.get(id_) for id_ in ids]

    def _from_both(self, sql: str, ids: list[int]) -> dict[int, Row]:
        versions = _by_id(self._rows(self._leader, _VERSIONS, {"ids": ids}))
        rows = self._from_follower(sql, {"ids": list(versions)})
        found = {id_: row for id_, row in _by_id(rows).items() if version_in(row[0]) >= versions[id_][0]}
        behind = [id_ for id_ in versions if id_ not in found]
        return found | _by_id(self._rows(self._leader, sql, {"ids": behind})) if behind else found

    def _from_follower(self, sql: str, params: dict[str, Any]) -> list[Row]:
        try:
            return self._rows(self._follower, sql, params)
        except Unavailable:
            return []

    @staticmethod
    def _rows(database: Any, sql: str, params: dict[str, Any], entity: str = "") -> list[Row]:
        with database.statements() as tx:
            return tx.rows(sql, entity=entity, **params)


def _one(rows: list[Row]) -> Row | None:
    return rows[0] if rows else None


def _by_id(rows: list[Row]) -> dict[int, Row]:
    return {row[0]: row[1:] for row in rows}
