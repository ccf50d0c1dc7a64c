"""Invariants of the service, recomputed from its tables."""

from chassis.db import Transaction
from chassis.web.health import Invariant, no_row
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


INVARIANTS: dict[str, Invariant] = {
    "the range and the count of issued numbers of each sequence are valid": check_issued_counts,
    "the built-in sequences are unchanged": check_built_in_sequences,
    # linear
    "no number was issued twice within a cycle of a period": no_row(
        lambda tx: tx.find(
            """
            SELECT sequence, period, first, last FROM (
                SELECT sequence, period, first, last, first_ticket,
                       lag(first_ticket + last - first + 1) OVER (PARTITION BY sequence, period ORDER BY first_ticket)
                           AS previous_end
                FROM issued_numbers
            ) AS record
            WHERE previous_end > first_ticket LIMIT 1
            """
        )
    ),
    "every recorded number was counted": no_row(
        lambda tx: tx.find(
            """
            SELECT name, newest.period, newest.first_ticket + newest.last - newest.first + 1 AS end_ticket, issued
            FROM sequences JOIN LATERAL (
                SELECT * FROM issued_numbers WHERE sequence = name ORDER BY id DESC LIMIT 1
            ) AS newest ON true
            WHERE newest.period > coalesce(sequences.period, '')
               OR newest.period = coalesce(sequences.period, '')
                  AND newest.first_ticket + newest.last - newest.first + 1 > issued
            LIMIT 1
            """
        )
    ),
}
