"""Sequences and their counters."""

from typing import Any

from chassis.db import Transaction
from sequence_service.domain.sequences import Sequence

_DEFINITION = "minimum, maximum, cycle, format, reset, timezone, audit"
_COLUMNS = f"name, {_DEFINITION}, issued, period"
# Postgres has the clock that all processes share; they compute the current period from it.
_COLUMNS_NOW = f"{_COLUMNS}, clock_timestamp() AS now"
_EXISTS = "deleted_at IS NULL"
_MAX_REMAINING_RATIOS = 20
_SIZE = "(maximum::numeric - minimum + 1)"


def list_sequences(tx: Transaction, limit: int, offset: int) -> list[Sequence]:
    rows = tx.all(
        f"SELECT {_COLUMNS_NOW} FROM sequences WHERE {_EXISTS} ORDER BY name LIMIT %(limit)s OFFSET %(offset)s",
        limit=limit,
        offset=offset,
    )
    return [_current_sequence(row) for row in rows]


def count_sequences(tx: Transaction) -> int:
    return int(tx.value(f"SELECT count(*) FROM sequences WHERE {_EXISTS}"))


def find_sequence(tx: Transaction, name: str) -> Sequence | None:
    row = tx.find(f"SELECT {_COLUMNS_NOW} FROM sequences WHERE name = %(name)s AND {_EXISTS}", name=name)
    return _current_sequence(row) if row else None


def list_remaining_ratios(tx: Transaction) -> dict[str, float]:
    """Return the share of the numbers that are left, for the sequences without cycles that have the smallest."""
    # Some of these may have entered a new period since their last number.
    rows = tx.all(
        f"""
        SELECT {_COLUMNS_NOW} FROM sequences WHERE {_EXISTS} AND NOT cycle
        ORDER BY issued / {_SIZE} DESC LIMIT {10 * _MAX_REMAINING_RATIOS}
        """
    )
    sequences = [_current_sequence(row) for row in rows]
    ratios = sorted((sequence.remaining / sequence.size, sequence.name) for sequence in sequences)
    return {name: ratio for ratio, name in ratios[:_MAX_REMAINING_RATIOS]}


def lock_all_sequences(tx: Transaction) -> list[tuple[Sequence, bool]]:
    """Lock all sequences until the transaction ends; return each in its current period, and whether it is deleted."""
    rows = tx.all(
        f"SELECT {_COLUMNS_NOW}, deleted_at IS NOT NULL AS is_deleted FROM sequences ORDER BY name FOR UPDATE"
    )
    deleted = [row.pop("is_deleted") for row in rows]
    return list(zip(map(_current_sequence, rows), deleted, strict=True))


def lock_sequence(tx: Transaction, name: str) -> Sequence | None:
    """Lock the sequence until the transaction ends; return it in the period that has begun, or None."""
    row = tx.find(f"SELECT {_COLUMNS_NOW} FROM sequences WHERE name = %(name)s AND {_EXISTS} FOR UPDATE", name=name)
    return _current_sequence(row) if row else None


def has_format(tx: Transaction, name: str, format: str, reset: str | None) -> bool:
    """Return whether a sequence of this name exists, which may be deleted, with this format and `reset`."""
    sql = "SELECT format = %(format)s AND reset IS NOT DISTINCT FROM %(reset)s FROM sequences WHERE name = %(name)s"
    return bool(tx.value(sql, name=name, format=format, reset=reset))


def get_sequence_including_deleted(tx: Transaction, name: str) -> tuple[Sequence, bool]:
    """Return the sequence and whether it is deleted."""
    row = tx.one(
        f"SELECT {_COLUMNS_NOW}, NOT ({_EXISTS}) AS is_deleted FROM sequences WHERE name = %(name)s", name=name
    )
    is_deleted = row.pop("is_deleted")
    return _current_sequence(row), is_deleted


def insert_or_revive_sequence(tx: Transaction, sequence: Sequence) -> Sequence | None:
    """Return the new sequence, or the revived one with the counter that it had when it was deleted.

    Return None, with the existing row locked, if the name belongs to a sequence that is not deleted or that has a
    different definition.
    """
    row = tx.find(
        f"""
        INSERT INTO sequences (name, {_DEFINITION})
        VALUES (%(name)s, %(minimum)s, %(maximum)s, %(cycle)s, %(format)s, %(reset)s, %(timezone)s, %(audit)s)
        ON CONFLICT ON CONSTRAINT sequences_pkey DO UPDATE SET deleted_at = NULL
        WHERE sequences.deleted_at IS NOT NULL
          AND (sequences.minimum, sequences.maximum, sequences.cycle, sequences.format, sequences.timezone)
            = (excluded.minimum, excluded.maximum, excluded.cycle, excluded.format, excluded.timezone)
          AND sequences.reset IS NOT DISTINCT FROM excluded.reset AND sequences.audit = excluded.audit
        RETURNING {_COLUMNS_NOW}
        """,
        name=sequence.name,
        minimum=sequence.minimum,
        maximum=sequence.maximum,
        cycle=sequence.cycle,
        format=sequence.format,
        reset=sequence.reset,
        timezone=sequence.timezone,
        audit=sequence.audit,
    )
    return _current_sequence(row) if row else None


def delete_sequence(tx: Transaction, name: str) -> bool:
    """Mark the sequence as deleted; return False if it does not exist.

    Its row stays, so that the name is reserved and the counter continues if the sequence is revived.
    """
    return tx.run(f"UPDATE sequences SET deleted_at = now() WHERE name = %(name)s AND {_EXISTS}", name=name) == 1


def update_sequence(tx: Transaction, sequence: Sequence) -> None:
    """Store the maximum and the counter of a sequence that this transaction has locked."""
    tx.run(
        "UPDATE sequences SET maximum = %(maximum)s, issued = %(issued)s, period = %(period)s WHERE name = %(name)s",
        name=sequence.name,
        maximum=sequence.maximum,
        issued=sequence.issued,
        period=sequence.period,
    )


def claim_tickets(
    tx: Transaction, name: str, count: int, max_request: int, period: str | None = None
) -> Sequence | None:
    """Claim the next `count` tickets for exclusive use by the caller; return the updated sequence.

    The tickets are those of the period; None claims only from a sequence that never restarts. Return None and claim
    nothing if the sequence does not exist, if it has fewer tickets left, or if `max_request`, the count of the largest
    of the requests that share the tickets, exceeds the size of the range. Concurrent callers block on the row lock, so
    a rolled-back request leaves no gap.
    """
    issued = "CASE WHEN period IS NOT DISTINCT FROM %(period)s THEN issued ELSE 0 END + %(count)s"
    row = tx.find(
        f"""
        UPDATE sequences SET issued = {issued}, period = %(period)s
        WHERE name = %(name)s AND {_EXISTS} AND (reset IS NULL) = (%(period)s IS NULL)
          AND %(max_request)s <= {_SIZE} AND (cycle OR {issued} <= {_SIZE})
        RETURNING {_COLUMNS}
        """,
        name=name,
        count=count,
        max_request=max_request,
        period=period,
    )
    return _sequence_from(row) if row else None


def _current_sequence(row: dict[str, Any]) -> Sequence:
    now = row.pop("now")
    return _sequence_from(row).at(now)


def _sequence_from(row: dict[str, Any]) -> Sequence:
    return Sequence(**{**row, "issued": int(row["issued"])})
