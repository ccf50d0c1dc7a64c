"""Reads a document from the read replica if the replica has its current version, otherwise from the primary."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from chassis.db import ConnectionLost, Database, Transaction, connect
from chassis.errors import Unavailable

# The version, the document and, for charts and attainment, the number of points or buckets.
Row = tuple[Any, ...]


# Compiling the statements would take longer than executing them. A bitmap scan, which Postgres prefers for a factory of
# which it has no statistics, reads the whole range before it returns the first point. Where outdated statistics say
# that the table is almost empty, Postgres would read all of it once per tile instead of using the index.
_BEGIN_SNAPSHOT = """
    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
    SET LOCAL jit = off;
    SET LOCAL enable_bitmapscan = off;
    SET LOCAL enable_seqscan = off
"""


# A replica that has everything does not lag, although its newest transaction may be old.
_LAG = """
    SELECT CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= %(position)s::pg_lsn THEN 0
           ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float
"""


@dataclass(frozen=True)
class Query:
    """Finds a document; None if the resource does not exist."""

    find: Callable[[Transaction], Row | None]
    # Whether it has several statements, which must see the same state.
    needs_snapshot: bool = False


def single_statement(sql: str, **params: Any) -> Query:
    def find(tx: Transaction) -> Row | None:
        rows = tx.rows(sql, **params)
        return rows[0] if rows else None

    return Query(find)


class ReplicaAwareReader:
    def __init__(self, primary: Database, replica: Database | None) -> None:
        self._primary, self._replica = primary, replica

    def find(self, version: str, query: Query) -> Row | None:
        """Return the document in the version that the primary stated, or in a later one."""
        row = self._find_in_replica(query)
        return row if row and row[0] == version else _find(self._primary, query)

    def _find_in_replica(self, query: Query) -> Row | None:
        try:
            return _find(self._replica, query) if self._replica else None
        except Unavailable:
            return None


def find_lag_seconds(tx: Transaction, replica_url: str) -> float | None:
    """Return the age of the newest state that the replica has, None if it is unavailable; `tx` is on the primary.

    A connection for each call: only connecting has a time limit, and the replica may be frozen.
    """
    position = tx.value("SELECT pg_current_wal_lsn()::text")
    try:
        with closing(connect(replica_url, name="factory-lag", autocommit=True)) as connection:
            lag: float | None = Transaction(connection).value(_LAG, position=position)
    except (Unavailable, *ConnectionLost):
        return None
    return lag


def _find(database: Database, query: Query) -> Row | None:
    if not query.needs_snapshot:
        with database.statements() as tx:
            return query.find(tx)
    with database.transaction() as tx:
        tx.run(_BEGIN_SNAPSHOT)
        return query.find(tx)
