"""SQL statements for consumers and their offsets. The ID of a feed is in the column `series_id`."""

from datetime import datetime
from typing import Any

from chassis.db import Transaction
from event_service.store.feeds import lock_feed


def lock_offset(tx: Transaction, stream_id: int, feed_id: int, consumer: str) -> dict[str, Any] | None:
    """Lock the offset until the transaction ends, and return it with the owner of its consumer.

    If this waits for the deletion of the consumer, it returns None, never the offset of a later owner.
    """
    return tx.find(
        """
        SELECT acknowledged, nacks, has_leases,
               (SELECT owner FROM consumers WHERE stream_id = %(stream)s AND name = %(consumer)s) AS owner
        FROM offsets WHERE series_id = %(feed_id)s AND consumer = %(consumer)s FOR UPDATE
        """,
        stream=stream_id,
        feed_id=feed_id,
        consumer=consumer,
    )


def insert_offset(tx: Transaction, feed_id: int, consumer: str, now: datetime) -> dict[str, Any]:
    """Create the offset before the first event that is left, and lock it until the transaction ends."""
    # Waits for a deletion in progress, which would not see the new offset.
    first, _ = lock_feed(tx, feed_id)
    # The update, which changes nothing, returns and locks a row that was created concurrently.
    return tx.one(
        """
        INSERT INTO offsets (series_id, consumer, acknowledged, moved_at, has_leases)
        VALUES (%(feed_id)s, %(consumer)s, %(acknowledged)s, %(now)s, NULL)
        ON CONFLICT ON CONSTRAINT offsets_pkey DO UPDATE SET consumer = excluded.consumer
        RETURNING acknowledged, nacks, has_leases
        """,
        feed_id=feed_id,
        consumer=consumer,
        acknowledged=first - 1,
        now=now,
    )


def lock_offsets(tx: Transaction, stream_id: int, consumer: str) -> list[int]:
    """Lock all offsets of the consumer in the stream, and return the IDs of their feeds."""
    rows = tx.rows(
        """
        SELECT series_id FROM offsets
        WHERE series_id IN (SELECT id FROM feeds WHERE stream_id = %(stream)s) AND consumer = %(consumer)s
        ORDER BY series_id FOR UPDATE
        """,
        stream=stream_id,
        consumer=consumer,
    )
    return [feed_id for (feed_id,) in rows]


def has_offsets(tx: Transaction, stream_id: int, consumer: str) -> bool:
    return bool(
        tx.value(
            """
            SELECT 1 FROM feeds JOIN offsets ON offsets.series_id = feeds.id
            WHERE stream_id = %(stream)s AND consumer = %(consumer)s LIMIT 1
            """,
            stream=stream_id,
            consumer=consumer,
        )
    )


def update_offset(
    tx: Transaction, feed_id: int, consumer: str, acknowledged: int, now: datetime, *, is_reset: bool = False
) -> None:
    """Move the offset and reset the NACKs, which belong to the event that blocked it.

    If `is_reset`, the consumer may choose again whether it uses leases; otherwise a consumer without leases from now on
    reads in order.
    """
    tx.run(
        """
        UPDATE offsets
        SET acknowledged = %(acknowledged)s, moved_at = %(now)s, nacks = 0, nacked_at = NULL, reason = '',
            delayed_until = NULL, has_leases = CASE WHEN NOT %(is_reset)s THEN coalesce(has_leases, false) END
        WHERE series_id = %(feed_id)s AND consumer = %(consumer)s
        """,
        feed_id=feed_id,
        consumer=consumer,
        acknowledged=acknowledged,
        now=now,
        is_reset=is_reset,
    )


def increment_nacks(
    tx: Transaction, feed_id: int, consumer: str, reason: str, delay_seconds: float, now: datetime
) -> None:
    tx.run(
        """
        UPDATE offsets
        SET nacks = nacks + 1, nacked_at = coalesce(nacked_at, %(now)s), reason = %(reason)s,
            delayed_until = now() + make_interval(secs => %(delay)s), has_leases = coalesce(has_leases, false)
        WHERE series_id = %(feed_id)s AND consumer = %(consumer)s
        """,
        feed_id=feed_id,
        consumer=consumer,
        reason=reason,
        delay=delay_seconds,
        now=now,
    )


def set_has_leases(tx: Transaction, feed_id: int, consumer: str) -> None:
    tx.run(
        "UPDATE offsets SET has_leases = true WHERE series_id = %(feed_id)s AND consumer = %(consumer)s",
        feed_id=feed_id,
        consumer=consumer,
    )


def delete_consumer(tx: Transaction, stream_id: int, feed_ids: list[int], consumer: str) -> None:
    """Delete the consumer's owner and, in these feeds, its offsets, leases and parked events."""
    for table in ("leases", "parked", "offsets"):
        tx.run(
            f"DELETE FROM {table} WHERE series_id = ANY (%(feed_ids)s) AND consumer = %(consumer)s",
            feed_ids=feed_ids,
            consumer=consumer,
        )
    tx.run(
        "DELETE FROM consumers WHERE stream_id = %(stream)s AND name = %(consumer)s",
        stream=stream_id,
        consumer=consumer,
    )


def list_consumers(
    tx: Transaction, stream_id: int, consumer: str | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    """Return the offsets of one consumer, or of all, with the number of parked events and with the event that blocks.

    That is the event after the offset, if a NACK was sent for it.
    """
    return tx.all(
        """
        SELECT offsets.consumer, feed.name AS "eventName", acknowledged AS offset, last - acknowledged AS lag,
               iso_time(moved_at) AS moved_at, missed,
               (SELECT count(*) FROM parked
                WHERE series_id = feed.id AND consumer = offsets.consumer AND replayed_at IS NULL) AS parked,
               coalesce(leases.nacks, offsets.nacks) AS nacks, coalesce(leases.reason, offsets.reason) AS reason,
               iso_time(coalesce(leases.nacked_at, offsets.nacked_at)) AS since,
               CASE WHEN coalesce(leases.nacks, offsets.nacks) = 0 THEN NULL
                    WHEN feed.id > 0 THEN
                        (SELECT id::text FROM events WHERE series_id = feed.id AND sequence = acknowledged + 1)
                    ELSE (SELECT id::text FROM events WHERE stream_id = -feed.id AND position = acknowledged + 1)
               END AS event
        FROM feeds AS feed JOIN offsets ON offsets.series_id = feed.id
        LEFT JOIN leases ON leases.series_id = feed.id AND leases.consumer = offsets.consumer
                        AND leases.sequence = acknowledged + 1
        WHERE feed.stream_id = %(stream)s AND offsets.consumer = coalesce(%(consumer)s, offsets.consumer)
        ORDER BY offsets.consumer, feed.name LIMIT %(limit)s OFFSET %(offset)s
        """,
        stream=stream_id,
        consumer=consumer,
        limit=limit,
        offset=offset,
    )


def count_consumers(tx: Transaction, stream_id: int, consumer: str | None) -> int:
    return int(
        tx.value(
            """
            SELECT count(*) FROM feeds JOIN offsets ON series_id = feeds.id
            WHERE stream_id = %(stream)s AND consumer = coalesce(%(consumer)s, consumer)
            """,
            stream=stream_id,
            consumer=consumer,
        )
    )
