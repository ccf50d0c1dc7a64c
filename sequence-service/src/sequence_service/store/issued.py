"""The audit trail: which numbers were issued to whom."""

from typing import Any

from chassis.db import Transaction
from sequence_service.domain.sequences import MAX_PER_REQUEST

_FIRST_MATCHES = "(%(number)s IS NULL OR first BETWEEN %(number)s::numeric - %(max_length)s AND %(number)s)"
# A range has at most as many numbers as a request, so that the index leads to the ranges that may contain the number.
_MATCHES = f"sequence = %(sequence)s AND {_FIRST_MATCHES} AND (%(number)s IS NULL OR last >= %(number)s)"


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
        SELECT id, first, last, nullif(period, '') AS period, username AS user, request_id,
               to_char(issued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS issued_at
        FROM issued_numbers
        WHERE {_MATCHES} AND (%(before)s IS NULL OR id < %(before)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        sequence=sequence,
        number=number,
        max_length=MAX_PER_REQUEST - 1,
        before=before,
        limit=limit,
    )


def count_issued(tx: Transaction, sequence: str, number: int | None) -> int:
    sql = f"SELECT count(*) FROM issued_numbers WHERE {_MATCHES}"
    return int(tx.value(sql, sequence=sequence, number=number, max_length=MAX_PER_REQUEST - 1))
