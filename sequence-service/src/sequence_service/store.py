"""Every statement this service sends to Postgres."""

from typing import Any

from chassis.db import Transaction
from sequence_service.domain import Sequence

_COLUMNS = "name, minimum, maximum, cycle, format, issued"
_EXISTS = "deleted_at IS NULL"


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


def take_tickets(tx: Transaction, name: str, count: int, largest: int, *, quietly: bool = False) -> Sequence | None:
    """The sequence after `count` more tickets, given to nobody else: they are the last it has issued.

    None, and none taken, where no such sequence exists, where it has fewer left, or where `largest`, the
    greatest single draw among them, exceeds the range; `quietly` also where they end a cycle or bring the range
    near its end.
    Concurrent callers queue on the row: who rolls back leaves no gap.
    """
    rows = tx.rows(_TAKE_QUIETLY if quietly else _TAKE, name=name, count=count, largest=largest)
    if not rows:
        return None
    name_, minimum, maximum, cycle, format_, issued = rows[0]
    return Sequence(name_, minimum, maximum, cycle, format_, int(issued))


_SIZE = "(maximum::numeric - minimum + 1)"
_UPDATE = f"""
    UPDATE sequences SET issued = issued + %(count)s
    WHERE name = %(name)s AND {_EXISTS} AND %(largest)s <= {_SIZE} AND (cycle OR issued + %(count)s <= {_SIZE})
"""
_NOTHING_TO_TELL = f"""
    AND CASE WHEN cycle THEN div(issued + %(count)s, {_SIZE}) = div(issued, {_SIZE})
             ELSE issued * 10 >= {_SIZE} * 9 OR (issued + %(count)s) * 10 < {_SIZE} * 9 END
"""
_TAKE = f"{_UPDATE} RETURNING {_COLUMNS}"
_TAKE_QUIETLY = f"{_UPDATE} {_NOTHING_TO_TELL} RETURNING {_COLUMNS}"


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
