"""SQL statements for parked events, and for those of them that are being replayed."""

from datetime import datetime
from typing import Any

from chassis.db import Transaction
from event_service.domain.feeds import EventLocation


def park_event(
    tx: Transaction, feed_id: int, sequence: int, consumer: str, nacks: int, reason: str, now: datetime
) -> None:
    tx.run(
        """
        INSERT INTO parked (series_id, sequence, consumer, nacks, reason, parked_at)
        VALUES (%(feed_id)s, %(sequence)s, %(consumer)s, %(nacks)s, %(reason)s, %(now)s)
        ON CONFLICT ON CONSTRAINT parked_pkey DO UPDATE
        SET nacks = excluded.nacks, reason = excluded.reason, parked_at = excluded.parked_at, replayed_at = NULL,
            available_at = NULL
        """,
        feed_id=feed_id,
        sequence=sequence,
        consumer=consumer,
        nacks=nacks,
        reason=reason,
        now=now,
    )


def find_replay_nacks(tx: Transaction, feed_id: int, sequence: int, consumer: str) -> int | None:
    """Return the NACKs of the event since its replay began, or None if it is not being replayed."""
    nacks: int | None = tx.value(
        """
        SELECT nacks FROM parked
        WHERE series_id = %(feed_id)s AND sequence = %(sequence)s AND consumer = %(consumer)s
          AND replayed_at IS NOT NULL
        """,
        feed_id=feed_id,
        sequence=sequence,
        consumer=consumer,
    )
    return nacks


def increment_replay_nacks(
    tx: Transaction, feed_id: int, sequence: int, consumer: str, reason: str, delay_seconds: float
) -> None:
    tx.run(
        """
        UPDATE parked
        SET nacks = nacks + 1, reason = %(reason)s, available_at = now() + make_interval(secs => %(delay)s)
        WHERE series_id = %(feed_id)s AND sequence = %(sequence)s AND consumer = %(consumer)s
        """,
        feed_id=feed_id,
        sequence=sequence,
        consumer=consumer,
        reason=reason,
        delay=delay_seconds,
    )


def delete_replayed(tx: Transaction, feed_id: int, consumer: str, *, first: int, last: int) -> None:
    tx.run(
        """
        DELETE FROM parked WHERE series_id = %(feed_id)s AND consumer = %(consumer)s
          AND sequence BETWEEN %(first)s AND %(last)s AND replayed_at IS NOT NULL
        """,
        feed_id=feed_id,
        consumer=consumer,
        first=first,
        last=last,
    )


def delete_parked_after(tx: Transaction, feed_id: int, consumer: str, sequence: int) -> None:
    tx.run(
        "DELETE FROM parked WHERE series_id = %(feed_id)s AND consumer = %(consumer)s AND sequence > %(sequence)s",
        feed_id=feed_id,
        consumer=consumer,
        sequence=sequence,
    )


def replay_event(tx: Transaction, location: EventLocation, consumer: str, now: datetime) -> bool:
    """Start the replay of an event, in both of its feeds if it is parked in both; return False if it is not parked.

    Replaying an event again changes nothing.
    """
    return (
        tx.run(
            """
            UPDATE parked
            SET nacks = CASE WHEN replayed_at IS NULL THEN 0 ELSE nacks END,
                replayed_at = coalesce(replayed_at, %(now)s)
            WHERE (series_id, sequence) IN ((%(series_id)s, %(sequence)s), (-%(stream_id)s, %(position)s))
              AND consumer = %(consumer)s
            """,
            series_id=location.series_id,
            sequence=location.sequence,
            stream_id=location.stream_id,
            position=location.position,
            consumer=consumer,
            now=now,
        )
        > 0
    )


def replay_all(tx: Transaction, feed_ids: list[int], consumer: str, now: datetime) -> None:
    """Start the replay of all parked events of the consumer in these feeds; it does not affect those in progress."""
    tx.run(
        """
        UPDATE parked SET nacks = 0, replayed_at = %(now)s
        WHERE series_id = ANY (%(feed_ids)s) AND consumer = %(consumer)s AND replayed_at IS NULL
        """,
        feed_ids=feed_ids,
        consumer=consumer,
        now=now,
    )


def list_parked(tx: Transaction, stream_id: int, consumer: str, limit: int, offset: int) -> list[dict[str, Any]]:
    return tx.all(
        """
        SELECT document, nacks, reason, iso_time(parked_at) AS parked_at
        FROM (
            SELECT event.position, parked.*
            FROM series JOIN parked ON parked.series_id = series.id
            JOIN events AS event ON event.series_id = series.id AND event.sequence = parked.sequence
            WHERE series.stream_id = %(stream)s AND consumer = %(consumer)s AND replayed_at IS NULL
            UNION ALL
            SELECT sequence, parked.* FROM parked
            WHERE series_id = -%(stream)s AND consumer = %(consumer)s AND replayed_at IS NULL
            ORDER BY position, series_id LIMIT %(limit)s OFFSET %(offset)s
        ) AS parked CROSS JOIN LATERAL (
            -- With the limit, Postgres looks up each event, and never reads all events of the stream.
            SELECT document FROM event_documents WHERE stream_id = %(stream)s AND position = parked.position LIMIT 1
        ) AS event
        ORDER BY parked.position, parked.series_id
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
            SELECT count(*) FROM feeds JOIN parked ON parked.series_id = feeds.id
            WHERE stream_id = %(stream)s AND consumer = %(consumer)s AND replayed_at IS NULL
            """,
            stream=stream_id,
            consumer=consumer,
        )
    )
