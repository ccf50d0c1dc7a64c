"""The audit trail: which numbers were issued to whom."""

from typing import Any

from chassis.db import Transaction
from sequence_service.domain.sequences import MAX_PER_REQUEST, MIN_BOUND

# A range has at most as many numbers as a request, so that the index leads to the ranges that may contain the number.
# Bounds of another type than the column could not be looked up in the index.
_MATCHES = """
    sequence = %(sequence)s AND (%(number)s IS NULL
        OR first BETWEEN (%(min_first)s)::bigint AND (%(number)s)::bigint AND last >= (%(number)s)::bigint)
"""


def insert_issued(
    tx: Transaction,
    sequence: str,
    period: str,
    first_ticket: int,
    ranges: list[tuple[int, int]],
    username: str,
    request_id: str,
) -> None:
    """Record the contiguous ranges of numbers that one request received, in the order of their tickets."""
    rows = []
    for first, last in ranges:
        rows.append((sequence, period, first_ticket, first, last, username, request_id))
        first_ticket += last - first + 1
    tx.insert_many(
        "INSERT INTO issued_numbers (sequence, period, first_ticket, first, last, username, request_id) VALUES %s", rows
    )


def list_issued(
    tx: Transaction, sequence: str, number: int | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return the newest records whose ID is less than `before`; with `number`, only those that contain it."""
    return tx.all(
        f"""
        WITH record AS {_hint(number)} (SELECT * FROM issued_numbers WHERE {_MATCHES})
        SELECT id, first, last, nullif(period, '') AS period, username AS user, request_id,
               to_char(issued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS issued_at
        FROM record
        WHERE %(before)s IS NULL OR id < %(before)s
        ORDER BY id DESC LIMIT %(limit)s
        """,
        before=before,
        limit=limit,
        **_params(sequence, number),
    )


def count_issued(tx: Transaction, sequence: str, number: int | None) -> int:
    return int(tx.value(f"SELECT count(*) FROM issued_numbers WHERE {_MATCHES}", **_params(sequence, number)))


def _hint(number: int | None) -> str:
    """Return the hint without which Postgres would search all records for the number, from the newest to the oldest."""
    return "NOT MATERIALIZED" if number is None else "MATERIALIZED"


def _params(sequence: str, number: int | None) -> dict[str, Any]:
    min_first = None if number is None else max(number - MAX_PER_REQUEST + 1, MIN_BOUND)
    return {"sequence": sequence, "number": number, "min_first": min_first}
