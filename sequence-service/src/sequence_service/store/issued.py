"""The audit trail: which numbers were issued to whom."""

from itertools import accumulate
from typing import Any

from chassis.db import Transaction
from sequence_service.domain.sequences import MAX_PER_REQUEST, MIN_BOUND

# A range has at most as many numbers as a request, so that the index leads to the ranges that may contain the number.
# Bounds of another type than the column could not be looked up in the index.
_MATCHES = """
    sequence = %(sequence)s AND (%(number)s IS NULL
        OR first BETWEEN (%(min_first)s)::bigint AND (%(number)s)::bigint AND last >= (%(number)s)::bigint)
"""
_LAST_POSITION = "SELECT coalesce(max(position), 0) FROM issued_numbers WHERE sequence = %(sequence)s"


def insert_issued(
    tx: Transaction,
    sequence: str,
    period: str,
    first_ticket: int,
    ranges: list[tuple[int, int]],
    username: str,
    request_id: str,
) -> None:
    """Record the contiguous ranges of numbers that one request received, in the order of their tickets.

    The caller has locked the sequence, so that the positions of its records have no gap.
    """
    sizes = [last - first + 1 for first, last in ranges]
    tx.run(
        f"""
        INSERT INTO issued_numbers
            (sequence, position, period, first_ticket, first, last, username, request_id)
        SELECT %(sequence)s, ({_LAST_POSITION}) + number, %(period)s, first_ticket, first, last,
               %(username)s, %(request_id)s
        FROM unnest(%(first_tickets)s::numeric[], %(firsts)s::bigint[], %(lasts)s::bigint[])
            WITH ORDINALITY AS ranges (first_ticket, first, last, number)
        """,
        sequence=sequence,
        period=period,
        first_tickets=[*accumulate(sizes[:-1], initial=first_ticket)],
        firsts=[first for first, _ in ranges],
        lasts=[last for _, last in ranges],
        username=username,
        request_id=request_id,
    )


def list_issued(
    tx: Transaction, sequence: str, number: int | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Return the newest records whose position is less than `before`; with `number`, only those that contain it."""
    return tx.all(
        f"""
        WITH record AS {_hint(number)} (SELECT * FROM issued_numbers WHERE {_MATCHES})
        SELECT position AS id, first, last, nullif(period, '') AS period, username AS user, request_id,
               to_char(issued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS issued_at
        FROM record
        WHERE %(before)s IS NULL OR position < %(before)s
        ORDER BY position DESC LIMIT %(limit)s
        """,
        before=before,
        limit=limit,
        **_params(sequence, number),
    )


def count_issued(tx: Transaction, sequence: str, number: int | None) -> int:
    """Return the number of records; without `number`, it is the position of the newest one."""
    sql = _LAST_POSITION if number is None else f"SELECT count(*) FROM issued_numbers WHERE {_MATCHES}"
    return int(tx.value(sql, **_params(sequence, number)))


def _hint(number: int | None) -> str:
    """Return the hint without which Postgres would search all records for the number, from the newest to the oldest."""
    return "NOT MATERIALIZED" if number is None else "MATERIALIZED"


def _params(sequence: str, number: int | None) -> dict[str, Any]:
    min_first = None if number is None else max(number - MAX_PER_REQUEST + 1, MIN_BOUND)
    return {"sequence": sequence, "number": number, "min_first": min_first}
