"""SQL statements for offsets and parked events."""

from datetime import datetime
from typing import Any, NamedTuple

from chassis.db import Transaction


class EventLocation(NamedTuple):
    """The location of an event, and the owner of the consumer that requests it; None if that consumer has no owner."""

    stream_id: int
    series_id: int
    sequence: int
    owner: str | None


def find_event_location(tx: Transaction, stream: str, event_id: str, consumer: str) -> EventLocation | None:
    rows = tx.rows(
        """
        SELECT event.stream_id, series_id, sequence, consumers.owner
        FROM events AS event JOIN streams ON streams.id = event.stream_id
        LEFT JOIN consumers ON consumers.stream_id = event.stream_id AND consumers.name = %(consumer)s
        WHERE event.id = %(id)s AND streams.name = %(stream)s
        """,
        id=event_id,
        stream=stream,
        consumer=consumer,
    )
    return EventLocation(*rows[0]) if rows else None


def lock_offset(tx: Transaction, series_id: int, consumer: str, now: datetime) -> dict[str, Any]:
    """Lock the offset until the transaction ends; create it before the first event that is left."""
    key = {"series_id": series_id, "consumer": consumer}
    row = tx.find(_LOCK_OFFSET, **key)
    if row is None:
        tx.run(
            """
            INSERT INTO offsets (series_id, consumer, acknowledged, moved_at)
            SELECT id, %(consumer)s, first - 1, %(now)s FROM series WHERE id = %(series_id)s
            FOR SHARE  -- Waits for a deletion in progress, which would not see the new offset.
            ON CONFLICT ON CONSTRAINT offsets_pkey DO NOTHING
            """,
            now=now,
            **key,
        )
        row = tx.one(_LOCK_OFFSET, **key)
    return row


_LOCK_OFFSET = """
    SELECT acknowledged, nacks FROM offsets WHERE series_id = %(series_id)s AND consumer = %(consumer)s FOR UPDATE
"""


def update_offset(tx: Transaction, series_id: int, consumer: str, acknowledged: int, now: datetime) -> None:
    """Move the offset and reset the NACKs, which belong to the event that blocked it."""
    tx.run(
        """
        UPDATE offsets
        SET acknowledged = %(acknowledged)s, moved_at = %(now)s, nacks = 0, nacked_at = NULL, reason = ''
        WHERE series_id = %(series_id)s AND consumer = %(consumer)s
        """,
        series_id=series_id,
        consumer=consumer,
        acknowledged=acknowledged,
        now=now,
    )


def increment_nacks(tx: Transaction, series_id: int, consumer: str, reason: str, now: datetime) -> None:
    tx.run(
        """
        UPDATE offsets SET nacks = nacks + 1, nacked_at = coalesce(nacked_at, %(now)s), reason = %(reason)s
        WHERE series_id = %(series_id)s AND consumer = %(consumer)s
        """,
        series_id=series_id,
        consumer=consumer,
        reason=reason,
        now=now,
    )


def park_event(
    tx: Transaction, series_id: int, sequence: int, consumer: str, nacks: int, reason: str, now: datetime
) -> None:
    tx.run(
        """
        INSERT INTO parked (series_id, sequence, consumer, nacks, reason, parked_at)
        VALUES (%(series_id)s, %(sequence)s, %(consumer)s, %(nacks)s, %(reason)s, %(now)s)
        ON CONFLICT ON CONSTRAINT parked_pkey DO UPDATE
        SET nacks = excluded.nacks, reason = excluded.reason, parked_at = excluded.parked_at, replayed_at = NULL
        """,
        series_id=series_id,
        sequence=sequence,
        consumer=consumer,
        nacks=nacks,
        reason=reason,
        now=now,
    )


def find_replay_nacks(tx: Transaction, series_id: int, sequence: int, consumer: str) -> int | None:
    """Return the NACKs of the event since its replay began, or None if it is not being replayed."""
    nacks: int | None = tx.value(
        """
        SELECT nacks FROM parked
        WHERE series_id = %(series_id)s AND sequence = %(sequence)s AND consumer = %(consumer)s
          AND replayed_at IS NOT NULL
        """,
        series_id=series_id,
        sequence=sequence,
        consumer=consumer,
    )
    return nacks


def increment_replay_nacks(tx: Transaction, series_id: int, sequence: int, consumer: str, reason: str) -> None:
    tx.run(
        """
        UPDATE parked SET nacks = nacks + 1, reason = %(reason)s
        WHERE series_id = %(series_id)s AND sequence = %(sequence)s AND consumer = %(consumer)s
        """,
        series_id=series_id,
        sequence=sequence,
        consumer=consumer,
        reason=reason,
    )


def delete_replayed(tx: Transaction, series_id: int, consumer: str, *, first: int, last: int) -> None:
    tx.run(
        """
        DELETE FROM parked WHERE series_id = %(series_id)s AND consumer = %(consumer)s
          AND sequence BETWEEN %(first)s AND %(last)s AND replayed_at IS NOT NULL
        """,
        series_id=series_id,
        consumer=consumer,
        first=first,
        last=last,
    )


def delete_parked_after(tx: Transaction, series_id: int, consumer: str, sequence: int) -> None:
    tx.run(
        "DELETE FROM parked WHERE series_id = %(series_id)s AND consumer = %(consumer)s AND sequence > %(sequence)s",
        series_id=series_id,
        consumer=consumer,
        sequence=sequence,
    )


def replay_event(tx: Transaction, series_id: int, sequence: int, consumer: str, now: datetime) -> bool:
    """Start the replay of a parked event; return False if it is not parked.

    Replaying an event again changes nothing.
    """
    return (
        tx.run(
            """
            UPDATE parked
            SET nacks = CASE WHEN replayed_at IS NULL THEN 0 ELSE nacks END,
                replayed_at = coalesce(replayed_at, %(now)s)
            WHERE series_id = %(series_id)s AND sequence = %(sequence)s AND consumer = %(consumer)s
            """,
            series_id=series_id,
            sequence=sequence,
            consumer=consumer,
            now=now,
        )
        == 1
    )


def list_parked(tx: Transaction, stream_id: int, consumer: str, limit: int, offset: int) -> list[dict[str, Any]]:
    return tx.all(
        """
        SELECT document, nacks, reason, iso_time(parked_at) AS parked_at
        FROM parked JOIN event_documents AS event USING (series_id, sequence)
        WHERE stream_id = %(stream)s AND consumer = %(consumer)s AND replayed_at IS NULL
        ORDER BY position LIMIT %(limit)s OFFSET %(offset)s
        """,
        stream=stream_id,
        consumer=consumer,
        limit=limit,
        offset=offset,
    )


def count_parked(tx: Transaction, stream_id: int, consumer: str) -> int:
    return int(
        tx.value(
            """
            SELECT count(*) FROM parked JOIN series ON series.id = series_id
            WHERE stream_id = %(stream)s AND consumer = %(consumer)s AND replayed_at IS NULL
            """,
            stream=stream_id,
            consumer=consumer,
        )
    )


def list_consumers(tx: Transaction, stream_id: int, limit: int, offset: int) -> list[dict[str, Any]]:
    return tx.all(
        """
        SELECT offsets.consumer, series.name AS "eventName", acknowledged AS offset, last - acknowledged AS lag,
               iso_time(moved_at) AS moved_at, missed,
               offsets.nacks, offsets.reason, blocking.id::text AS event,
               iso_time(nacked_at) AS since
        FROM offsets JOIN series ON series.id = series_id
        LEFT JOIN events AS blocking
          ON blocking.series_id = series.id AND blocking.sequence = acknowledged + 1 AND offsets.nacks > 0
        WHERE series.stream_id = %(stream)s
        ORDER BY offsets.consumer, series.name LIMIT %(limit)s OFFSET %(offset)s
        """,
        stream=stream_id,
        limit=limit,
        offset=offset,
    )


def count_consumers(tx: Transaction, stream_id: int) -> int:
    return int(
        tx.value(
            "SELECT count(*) FROM offsets JOIN series ON series.id = series_id WHERE stream_id = %(stream)s",
            stream=stream_id,
        )
    )
