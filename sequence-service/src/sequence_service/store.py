"""Every statement this service sends to Postgres."""

from typing import Any

from chassis.db import Transaction
from sequence_service.domain import Sequence

_COLUMNS = "name, minimum, maximum, cycle, format, issued"


def list_sequences(tx: Transaction, limit: int, offset: int) -> list[Sequence]:
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM sequences ORDER BY name LIMIT %(limit)s OFFSET %(offset)s",
        limit=limit,
        offset=offset,
    )
    return [_sequence(row) for row in rows]


def count_sequences(tx: Transaction) -> int:
    return int(tx.value("SELECT count(*) FROM sequences"))


def find_sequence(tx: Transaction, name: str) -> Sequence | None:
    row = tx.find(f"SELECT {_COLUMNS} FROM sequences WHERE name = %(name)s", name=name)
    return _sequence(row) if row else None


def lock_sequence(tx: Transaction, name: str) -> Sequence | None:
    row = tx.find(f"SELECT {_COLUMNS} FROM sequences WHERE name = %(name)s FOR UPDATE", name=name)
    return _sequence(row) if row else None


def insert_sequence(tx: Transaction, sequence: Sequence) -> bool:
    """False where one of that name stands."""
    inserted = tx.run(
        """
        INSERT INTO sequences (name, minimum, maximum, cycle, format)
        VALUES (%(name)s, %(minimum)s, %(maximum)s, %(cycle)s, %(format)s)
        ON CONFLICT ON CONSTRAINT sequences_pkey DO NOTHING
        """,
        name=sequence.name,
        minimum=sequence.minimum,
        maximum=sequence.maximum,
        cycle=sequence.cycle,
        format=sequence.format,
    )
    return inserted == 1


def delete_sequence(tx: Transaction, name: str) -> bool:
    return tx.run("DELETE FROM sequences WHERE name = %(name)s", name=name) == 1


def take_tickets(tx: Transaction, name: str, count: int, largest: int) -> Sequence | None:
    """The sequence after `count` more tickets, given to nobody else: they are the last it has issued.

    None, and none taken, where there is no such sequence, where it has fewer left, or where `largest`, the greatest
    single draw among them, exceeds the range. Concurrent callers queue on the row: who rolls back leaves no gap.
    """
    rows = tx.rows(
        f"""
        UPDATE sequences SET issued = issued + %(count)s
        WHERE name = %(name)s
          AND %(largest)s <= maximum::numeric - minimum + 1
          AND (cycle OR issued + %(count)s <= maximum::numeric - minimum + 1)
        RETURNING {_COLUMNS}
        """,
        name=name,
        count=count,
        largest=largest,
    )
    if not rows:
        return None
    *spec, issued = rows[0]
    return Sequence(*spec, issued=int(issued))


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
