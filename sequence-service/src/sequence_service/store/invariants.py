"""Invariants of the service, recomputed from its tables."""

from chassis.db import Transaction
from chassis.db.invariants import Invariant, Stepwise, no_row, ranges
from sequence_service.domain.sequences import BUILT_IN_RANGES


def check_issued_counts(tx: Transaction) -> str | None:
    """Return a message that names the sequences with an invalid range or count, or None if there are none."""
    rows = tx.rows(
        """
        SELECT name FROM sequences
        WHERE issued < 0 OR issued <> trunc(issued) OR minimum > maximum
           OR (NOT cycle AND issued > maximum::numeric - minimum + 1)
        ORDER BY name
        """
    )
    names = ", ".join(name for (name,) in rows)
    return f"more numbers issued than the range contains, or invalid range or count: {names}" if names else None


def check_built_in_sequences(tx: Transaction) -> str | None:
    """Return a message that names the built-in sequences that differ from the contract, or None if there are none."""
    expected = {(name, minimum, maximum, True) for name, (minimum, maximum) in BUILT_IN_RANGES.items()}
    different = expected ^ set(tx.rows("SELECT name, minimum, maximum, cycle FROM sequences WHERE built_in"))
    return f"changed, missing or unexpected: {', '.join(sorted({row[0] for row in different}))}" if different else None


# Another transaction may record numbers with a lower ID than those that are visible, but none takes two minutes.
_RECORDS = """
    SELECT 0::bigint AS unit, 1 AS first, (SELECT coalesce(max(id), 0) FROM issued_numbers) AS last,
           (SELECT coalesce(max(id), 0) FROM issued_numbers WHERE issued_at < now() - interval '2 minutes') AS settled
"""

INVARIANTS: dict[str, Invariant | Stepwise] = {
    "the range and the count of issued numbers of each sequence are valid": check_issued_counts,
    "the built-in sequences are unchanged": check_built_in_sequences,
    "no number was issued twice within a cycle of a period, and no record is missing": ranges(
        "issued numbers",
        _RECORDS,
        """
        SELECT record.sequence, record.period, record.position, record.first, record.last
        FROM ranges CROSS JOIN LATERAL (
            SELECT * FROM issued_numbers WHERE id > after AND id <= upto OFFSET 0
        ) AS record CROSS JOIN LATERAL (SELECT first_ticket + record.last - record.first AS last_ticket) AS tickets
        LEFT JOIN LATERAL (
            SELECT first_ticket + last - first AS last_ticket FROM issued_numbers
            WHERE sequence = record.sequence AND period = record.period AND first_ticket < record.first_ticket
            ORDER BY first_ticket DESC LIMIT 1
        ) AS previous ON true
        LEFT JOIN LATERAL (
            SELECT position FROM issued_numbers
            WHERE sequence = record.sequence AND position < record.position ORDER BY position DESC LIMIT 1
        ) AS preceding ON true
        WHERE previous.last_ticket >= record.first_ticket OR EXISTS (
            SELECT FROM issued_numbers AS following
            WHERE following.sequence = record.sequence AND following.period = record.period
              AND following.first_ticket > record.first_ticket AND following.first_ticket <= tickets.last_ticket
        ) OR record.position <> coalesce(preceding.position, 0) + 1
        """,
        weight=3,
    ),
    "every recorded number was counted": no_row(
        lambda tx: tx.find(
            """
            SELECT name, newest.period, newest.first_ticket + newest.last - newest.first + 1 AS end_ticket, issued
            FROM sequences JOIN LATERAL (
                SELECT * FROM issued_numbers WHERE sequence = name ORDER BY position DESC LIMIT 1
            ) AS newest ON true
            WHERE newest.period > coalesce(sequences.period, '')
               OR newest.period = coalesce(sequences.period, '')
                  AND newest.first_ticket + newest.last - newest.first + 1 > issued
            LIMIT 1
            """
        )
    ),
}
