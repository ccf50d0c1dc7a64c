"""SQL statements for the retention of streams and the deletion of their first events."""

from datetime import datetime
from typing import Any

from chassis.db import Transaction


def find_retention(tx: Transaction, stream_id: int) -> dict[str, Any] | None:
    return tx.find("SELECT max_age_days, max_events FROM retention WHERE stream_id = %(stream)s", stream=stream_id)


def upsert_retention(tx: Transaction, stream_id: int, max_age_days: int | None, max_events: int | None) -> None:
    tx.run(
        """
        INSERT INTO retention (stream_id, max_age_days, max_events)
        VALUES (%(stream)s, %(max_age_days)s, %(max_events)s)
        ON CONFLICT ON CONSTRAINT retention_pkey DO UPDATE
        SET max_age_days = excluded.max_age_days, max_events = excluded.max_events
        """,
        stream=stream_id,
        max_age_days=max_age_days,
        max_events=max_events,
    )


def delete_retention(tx: Transaction, stream_id: int) -> None:
    tx.run("DELETE FROM retention WHERE stream_id = %(stream)s", stream=stream_id)


def lock_due_stream(tx: Transaction, now: datetime) -> dict[str, Any] | None:
    """Lock the retention of the stream whose turn it is to lose events, or return None if no event is due.

    While it is locked, a request to change it waits; so no event is deleted by a rule that no longer applies.
    """
    return tx.find(
        """
        SELECT stream_id, streams.first, streams.position - max_events + 1 AS first_by_count,
               %(now)s - make_interval(hours => 24 * max_age_days) AS first_time
        FROM retention JOIN streams ON streams.id = stream_id
        JOIN events AS oldest USING (stream_id)
        WHERE oldest.position = streams.first
          AND (streams.position - streams.first >= max_events
               OR oldest.received_at < %(now)s - make_interval(hours => 24 * max_age_days))
        ORDER BY deleted_at NULLS FIRST, stream_id LIMIT 1
        FOR UPDATE OF retention SKIP LOCKED
        """,
        now=now,
    )


def delete_events(tx: Transaction, stream_id: int, first: int, end: int, now: datetime) -> None:
    """Delete the events from position `first`, the first one that is left, to the one before `end`.

    1. Delete the events. Readers see them until the transaction ends.
    2. Record what is left. From here on, appends to the stream wait, and so does the creation of an offset.
    3. Move the offsets of consumers that have not acknowledged the deleted events, and forget those that are parked.
    """
    rows = tx.rows(
        """
        WITH deleted AS (
            DELETE FROM events WHERE stream_id = %(stream)s AND position >= %(first)s AND position < %(end)s
            RETURNING series_id, sequence
        )
        SELECT series_id, max(sequence) + 1 FROM deleted GROUP BY series_id ORDER BY series_id
        """,
        stream=stream_id,
        first=first,
        end=end,
    )
    _update_first_numbers(tx, stream_id, end, rows, now)
    _move_consumers(tx, stream_id, [-stream_id, *(series_id for series_id, _ in rows)], now)


def _update_first_numbers(
    tx: Transaction, stream_id: int, end: int, rows: list[tuple[Any, ...]], now: datetime
) -> None:
    tx.run(
        """
        UPDATE streams
        SET first = %(end)s,
            first_at = (SELECT received_at FROM events WHERE stream_id = %(stream)s AND events.position = %(end)s)
        WHERE id = %(stream)s
        """,
        stream=stream_id,
        end=end,
    )
    tx.run(
        """
        UPDATE series SET first = left_over.first
        FROM unnest(%(series_ids)s::bigint[], %(firsts)s::bigint[]) AS left_over (series_id, first)
        WHERE id = left_over.series_id
        """,
        series_ids=[series_id for series_id, _ in rows],
        firsts=[first for _, first in rows],
    )
    tx.run("UPDATE retention SET deleted_at = %(now)s WHERE stream_id = %(stream)s", stream=stream_id, now=now)


def _move_consumers(tx: Transaction, stream_id: int, feed_ids: list[int], now: datetime) -> None:
    """Move the offsets before the first event that is left, and delete what refers to deleted events."""
    # A NACK that is in progress may park an event that is deleted here; it is awaited by locking its offset.
    feeds = {"stream": stream_id, "feed_ids": feed_ids}
    tx.run(
        """
        SELECT 1 FROM feeds JOIN offsets ON offsets.series_id = feeds.id
        WHERE feeds.stream_id = %(stream)s AND feeds.id = ANY (%(feed_ids)s)
          AND (acknowledged < first - 1 OR EXISTS (
              SELECT FROM parked
              WHERE parked.series_id = feeds.id AND parked.consumer = offsets.consumer AND parked.sequence < first
          ))
        ORDER BY offsets.series_id, consumer
        FOR UPDATE OF offsets
        """,
        **feeds,
    )
    tx.run(_MOVE_OFFSETS, now=now, **feeds)
    tx.run(
        """
        DELETE FROM leases USING offsets
        WHERE offsets.series_id = ANY (%(feed_ids)s) AND leases.series_id = offsets.series_id
          AND leases.consumer = offsets.consumer AND sequence <= acknowledged
        """,
        feed_ids=feed_ids,
    )
    tx.run(
        """
        DELETE FROM parked USING feeds
        WHERE feeds.stream_id = %(stream)s AND feeds.id = ANY (%(feed_ids)s) AND series_id = feeds.id
          AND sequence < first
        """,
        **feeds,
    )


# With leases, an offset also moves over the events that are left and acknowledged without a gap. Deleted events that
# were acknowledged out of order were not missed.
_MOVE_OFFSETS = """
    UPDATE offsets
    SET acknowledged = coalesce(
            (SELECT min(sequence) - 1 FROM leases
             WHERE series_id = offsets.series_id AND consumer = offsets.consumer AND sequence >= first
               AND available_at IS NOT NULL),
            (SELECT max(sequence) FROM leases
             WHERE series_id = offsets.series_id AND consumer = offsets.consumer AND sequence >= first),
            first - 1
        ),
        missed = missed + first - 1 - acknowledged - (
            SELECT count(*) FROM leases
            WHERE series_id = offsets.series_id AND consumer = offsets.consumer AND sequence < first
              AND available_at IS NULL
        ),
        moved_at = %(now)s, nacks = 0, nacked_at = NULL, reason = '', delayed_until = NULL
    FROM feeds
    WHERE feeds.stream_id = %(stream)s AND feeds.id = ANY (%(feed_ids)s) AND series_id = feeds.id
      AND acknowledged < first - 1
"""
