"""SQL statements that read feeds; a feed is the events of one name, or all events of a stream.

The ID of a feed is the ID of its series, or minus the ID of its stream; its numbers are sequences, or positions.
"""

from typing import NamedTuple

from chassis.db import Transaction
from event_service.domain.feeds import ALL_NAMES, EventLocation


def find_event_location(tx: Transaction, stream: str, event_id: str, consumer: str) -> EventLocation | None:
    rows = tx.rows(
        """
        SELECT event.stream_id, event.series_id, series.name, event.sequence, event.position,
               EXISTS (SELECT FROM offsets WHERE series_id = -event.stream_id AND consumer = %(consumer)s)
               AND NOT EXISTS (SELECT FROM offsets WHERE series_id = event.series_id AND consumer = %(consumer)s)
        FROM events AS event
        JOIN streams ON streams.id = event.stream_id
        JOIN series ON series.id = event.series_id
        WHERE event.id = %(id)s AND streams.name = %(stream)s
        """,
        id=event_id,
        stream=stream,
        consumer=consumer,
    )
    return EventLocation(*rows[0]) if rows else None


def find_feed_id(tx: Transaction, stream_id: int, name: str) -> int | None:
    feed_id: int | None = tx.value(
        "SELECT id FROM feeds WHERE stream_id = %(stream)s AND name = %(name)s", stream=stream_id, name=name
    )
    return feed_id


def lock_feed(tx: Transaction, feed_id: int) -> tuple[int, int]:
    """Return the first number that is left and the last one; no append and no deletion changes them until `tx` ends."""
    table, last = ("series", "last") if feed_id > 0 else ("streams", "position")
    ((first, last_number),) = tx.rows(f"SELECT first, {last} FROM {table} WHERE id = %(id)s FOR SHARE", id=abs(feed_id))
    return first, last_number


def join_feed(name: str) -> str:
    """Return a join of the stream with its feed of this name, for the hot path: the view would be read as a whole."""
    if name == ALL_NAMES:
        return "CROSS JOIN LATERAL (SELECT -streams.id AS id, streams.first, streams.position AS last) AS feed"
    return "LEFT JOIN series AS feed ON feed.stream_id = streams.id AND feed.name = %(name)s"


class UnreadPage(NamedTuple):
    """The next events of a consumer that reads in order; `last` is the last number of the feed.

    If `is_delayed`, no event after the offset is returned, because of a NACK. `delay_seconds` is the time until the
    first delay ends, None if there is none. `is_new` means that the consumer has no offset yet.
    """

    documents: list[str]
    stream_id: int
    feed_id: int | None
    last: int
    has_leases: bool
    is_new: bool
    is_delayed: bool
    delay_seconds: float | None


_UNREAD = """
    SELECT streams.id AS stream_id, feed.id AS feed_id, coalesce(feed.last, 0) AS last,
           coalesce(greatest(offsets.acknowledged, feed.first - 1), 0) AS acknowledged,
           coalesce(offsets.has_leases, false) AS has_leases,
           offsets.consumer IS NULL AS is_new,
           coalesce(offsets.nacks > 0 AND offsets.delayed_until > now(), false) AS is_delayed,
           extract(epoch FROM least(
               CASE WHEN offsets.nacks > 0 AND offsets.delayed_until > now() THEN offsets.delayed_until END,
               (SELECT min(available_at) FROM parked
                WHERE series_id = feed.id AND consumer = %(consumer)s AND replayed_at IS NOT NULL
                  AND available_at > now())
           ) - now())::float AS delay_seconds,
           ARRAY(SELECT sequence FROM parked
                 WHERE series_id = feed.id AND consumer = %(consumer)s AND replayed_at IS NOT NULL
                   AND coalesce(available_at, now()) <= now()
                 ORDER BY sequence LIMIT %(limit)s) AS replayed
    FROM streams {join_feed}
    LEFT JOIN offsets ON offsets.series_id = feed.id AND offsets.consumer = %(consumer)s
    WHERE streams.name = %(stream)s AND streams.producer IS NOT NULL
"""


def find_unread_page(tx: Transaction, stream: str, name: str, consumer: str, limit: int) -> UnreadPage | None:
    """Return the events that the consumer has not acknowledged, replayed ones first, or None for an unknown stream."""
    row = tx.find(_UNREAD.format(join_feed=join_feed(name)), stream=stream, name=name, consumer=consumer, limit=limit)
    if row is None:
        return None
    # Numbers have no gaps. Replayed events are not after the offset, so their numbers are the lowest.
    acknowledged, replayed = row.pop("acknowledged"), row.pop("replayed")
    unread = range(acknowledged + 1, acknowledged + 1 if row["is_delayed"] else row["last"] + 1)
    numbers = (replayed + list(unread[:limit]))[:limit]
    documents = [] if row["has_leases"] else list_documents(tx, row["feed_id"], numbers)
    if numbers and not documents and not row["has_leases"]:
        # All of them were deleted since the first statement, so the page now begins later.
        return find_unread_page(tx, stream, name, consumer, limit)
    return UnreadPage(documents, **row)


def list_documents(tx: Transaction, feed_id: int, numbers: list[int]) -> list[str]:
    if not numbers:
        return []
    feed, number = ("series_id", "sequence") if feed_id > 0 else ("stream_id", "position")
    rows = tx.rows(
        f"""
        SELECT document FROM event_documents
        WHERE {feed} = %(id)s AND {number} = ANY (%(numbers)s) ORDER BY {number}
        """,
        id=abs(feed_id),
        numbers=numbers,
    )
    return [document for (document,) in rows]
