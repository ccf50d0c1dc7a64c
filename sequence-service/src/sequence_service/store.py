"""SQL statements of the sequence-service."""

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
    return [_sequence_from(row) for row in rows]


def count_sequences(tx: Transaction) -> int:
    return int(tx.value(f"SELECT count(*) FROM sequences WHERE {_EXISTS}"))


def find_sequence(tx: Transaction, name: str) -> Sequence | None:
    row = tx.find(f"SELECT {_COLUMNS} FROM sequences WHERE name = %(name)s AND {_EXISTS}", name=name)
    return _sequence_from(row) if row else None


def lock_sequence(tx: Transaction, name: str) -> Sequence | None:
    row = tx.find(f"SELECT {_COLUMNS} FROM sequences WHERE name = %(name)s AND {_EXISTS} FOR UPDATE", name=name)
    return _sequence_from(row) if row else None


def get_sequence_including_deleted(tx: Transaction, name: str) -> tuple[Sequence, bool]:
    """Return the sequence and whether it is deleted."""
    row = tx.one(f"SELECT {_COLUMNS}, NOT ({_EXISTS}) AS is_deleted FROM sequences WHERE name = %(name)s", name=name)
    is_deleted = row.pop("is_deleted")
    return _sequence_from(row), is_deleted


def insert_or_revive_sequence(tx: Transaction, sequence: Sequence) -> Sequence | None:
    """Return the new sequence, or the revived one with the counter that it had when it was deleted.

    Return None, with the existing row locked, if the name belongs to a sequence that is not deleted or that has a
    different definition.
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
    return _sequence_from(row) if row else None


def delete_sequence(tx: Transaction, name: str) -> bool:
    """Mark the sequence as deleted; return False if it does not exist.

    Its row stays, so that the name is reserved and the counter continues if the sequence is revived.
    """
    return tx.run(f"UPDATE sequences SET deleted_at = now() WHERE name = %(name)s AND {_EXISTS}", name=name) == 1


def claim_tickets(tx: Transaction, name: str, count: int, max_request: int) -> Sequence | None:
    """Claim the next `count` tickets for exclusive use by the caller; return the updated sequence.

    Return None and claim nothing if the sequence does not exist, if it has fewer tickets left, or if `max_request`,
    the count of the largest of the requests that share the tickets, exceeds the size of the range. Concurrent callers
    block on the row lock, so a rolled-back request leaves no gap.
    """
    row = tx.find(
        f"""
        UPDATE sequences SET issued = issued + %(count)s
        WHERE name = %(name)s AND {_EXISTS} AND %(max_request)s <= {_SIZE} AND (cycle OR issued + %(count)s <= {_SIZE})
        RETURNING {_COLUMNS}
        """,
        name=name,
        count=count,
        max_request=max_request,
    )
    return _sequence_from(row) if row else None


def list_invalid_sequences(tx: Transaction) -> list[str]:
    rows = tx.rows(
        """
        SELECT name FROM sequences
        WHERE issued < 0 OR issued <> trunc(issued) OR minimum > maximum
           OR (NOT cycle AND issued > maximum::numeric - minimum + 1)
        ORDER BY name
        """
    )
    return [name for (name,) in rows]


def list_built_in_sequences(tx: Transaction) -> list[tuple[str, int, int, bool]]:
    rows = tx.rows("SELECT name, minimum, maximum, cycle FROM sequences WHERE built_in")
    return [(name, minimum, maximum, cycle) for name, minimum, maximum, cycle in rows]


def _sequence_from(row: dict[str, Any]) -> Sequence:
    return Sequence(**{**row, "issued": int(row["issued"])})
