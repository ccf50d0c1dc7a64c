"""Every statement this service sends to Postgres."""

from typing import Any

from chassis.db import Transaction
from sequence_service.domain import Sequence

_COLUMNS = "name, minimum, maximum, cycle, format, issued"
_EXISTS = "deleted_at IS NULL"
_SIZE = "(maximum::numeric - minimum + 1)"


def list_sequences(tx: Transaction, limit: int, offset: int) -> list[Sequence]:
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM sequences WHERE {_EXISTS} ORDER BY name LIMIT %(limit)s OFFSET %(offset)s",
        limit=limit,
        offset=offset,
    )
    return [_sequence(row) for row in rows]


def count_sequences(tx: Transaction) -> int:
    return int(tx.value(f"SELECT count(*) FROM sequences WHERE {_EXISTS}"))


def find_sequence(tx: Transaction, name: str) -> Sequence | None:
    row = tx.find(f"SELECT {_COLUMNS} FROM sequences WHERE name = %(name)s AND {_EXISTS}", name=name)
    return _sequence(row) if row else None


def lock_sequence(tx: Transaction, name: str) -> Sequence | None:
    row = tx.find(f"SELECT {_COLUMNS} FROM sequences WHERE name = %(name)s AND {_EXISTS} FOR UPDATE", name=name)
    return _sequence(row) if row else None


def get_reserved(tx: Transaction, name: str) -> tuple[Sequence, bool]:
    """Return the sequence that has the name, and whether it is deleted."""
    row = tx.one(f"SELECT {_COLUMNS}, NOT ({_EXISTS}) AS is_deleted FROM sequences WHERE name = %(name)s", name=name)
    is_deleted = row.pop("is_deleted")
    return _sequence(row), is_deleted


def insert_or_revive_sequence(tx: Transaction, sequence: Sequence) -> Sequence | None:
    """Return the sequence, new or as it was when it was deleted.

    None if the name has a sequence that exists or is defined differently; its row is locked then.
    """
    row = tx.find(
        f"""
        INSERT INTO sequences (name, minimum, maximum, cycle, format)
        VALUES (%(name)s, %(minimum)s, %(maximum)s, %(cycle)s, %(format)s)
        ON CONFLICT ON CONSTRAINT sequences_pkey DO UPDATE SET deleted_at = NULL
        WHERE sequences.deleted_at IS NOT NULL
          AND (sequences.minimum, sequences.maximum, sequences.cycle, sequences.format)
            = (excluded.minimum, excluded.maximum, excluded.cycle, excluded.format)
        RETURNING {_COLUMNS}
        """,
        name=sequence.name,
        minimum=sequence.minimum,
        maximum=sequence.maximum,
        cycle=sequence.cycle,
        format=sequence.format,
    )
    return _sequence(row) if row else None


def delete_sequence(tx: Transaction, name: str) -> bool:
    """Its row stays, so that its name is reserved and its counter goes on where it is revived."""
    return tx.run(f"UPDATE sequences SET deleted_at = now() WHERE name = %(name)s AND {_EXISTS}", name=name) == 1


def take_tickets(tx: Transaction, name: str, count: int, largest: int) -> Sequence | None:
    """Return the sequence with `count` more tickets issued: the last ones it has issued, and given to nobody else.

    None, and none is taken, if there is no such sequence, if it has fewer left, or if `largest`, the greatest
    single draw among them, exceeds the range. Concurrent callers queue on the row: a rollback leaves no gap.
    """
    row = tx.find(
        f"""
        UPDATE sequences SET issued = issued + %(count)s
        WHERE name = %(name)s AND {_EXISTS} AND %(largest)s <= {_SIZE} AND (cycle OR issued + %(count)s <= {_SIZE})
        RETURNING {_COLUMNS}
        """,
        name=name,
        count=count,
        largest=largest,
    )
    return _sequence(row) if row else None


def find_overdrawn(tx: Transaction) -> list[str]:
    rows = tx.rows(
        """
        SELECT name FROM sequences
        WHERE issued < 0 OR issued <> trunc(issued) OR minimum > maximum
           OR (NOT cycle AND issued > maximum::numeric - minimum + 1)
        ORDER BY name
        """
    )
    return [name for (name,) in rows]


def find_built_in(tx: Transaction) -> list[tuple[str, int, int, bool]]:
    rows = tx.rows("SELECT name, minimum, maximum, cycle FROM sequences WHERE built_in")
    return [(name, minimum, maximum, cycle) for name, minimum, maximum, cycle in rows]


def _sequence(row: dict[str, Any]) -> Sequence:
    return Sequence(**{**row, "issued": int(row["issued"])})
