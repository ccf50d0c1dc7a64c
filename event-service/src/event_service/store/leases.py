"""SQL statements for leases. Change those of a consumer only while its offset is locked."""

from datetime import datetime
from typing import NamedTuple

from chassis.db import Transaction
from event_service.domain.offsets import Lease
from event_service.store.feeds import join_feed


class LeaseState(NamedTuple):
    """The feed and the consumer; `available_seconds` is the time until the first lease or delay ends.

    It is at most 0 if an event can be leased again, and None if there are neither leases nor replayed events.
    """

    stream_id: int
    feed_id: int | None
    last: int
    owner: str | None
    has_leases: bool | None
    acknowledged: int
    last_leased: int
    available_seconds: float | None


def find_lease_state(tx: Transaction, stream: str, name: str, consumer: str) -> LeaseState | None:
    """Return None for an unknown stream."""
    rows = tx.rows(
        f"""
        SELECT streams.id, feed.id, coalesce(feed.last, 0), consumers.owner,
               offsets.has_leases, coalesce(greatest(offsets.acknowledged, feed.first - 1), 0),
               coalesce((SELECT max(sequence) FROM leases
                         WHERE series_id = feed.id AND consumer = %(consumer)s), 0),
               extract(epoch FROM least(
                   (SELECT min(available_at) FROM leases
                    WHERE series_id = feed.id AND consumer = %(consumer)s),
                   (SELECT min(coalesce(available_at, now())) FROM parked
                    WHERE series_id = feed.id AND consumer = %(consumer)s AND replayed_at IS NOT NULL)
               ) - now())::float
        FROM streams {join_feed(name)}
        LEFT JOIN offsets ON offsets.series_id = feed.id AND offsets.consumer = %(consumer)s
        LEFT JOIN consumers ON consumers.stream_id = streams.id AND consumers.name = %(consumer)s
        WHERE streams.name = %(stream)s AND streams.producer IS NOT NULL
        """,
        stream=stream,
        name=name,
        consumer=consumer,
    )
    return LeaseState(*rows[0]) if rows else None


def find_last_leased(tx: Transaction, feed_id: int, consumer: str) -> int | None:
    last: int | None = tx.value(
        "SELECT max(sequence) FROM leases WHERE series_id = %(feed_id)s AND consumer = %(consumer)s",
        feed_id=feed_id,
        consumer=consumer,
    )
    return last


def insert_leases(tx: Transaction, feed_id: int, consumer: str, numbers: range, seconds: float) -> None:
    tx.run(
        """
        INSERT INTO leases (series_id, consumer, sequence, available_at)
        SELECT %(feed_id)s, %(consumer)s, generate_series(%(first)s, %(last)s),
               now() + make_interval(secs => %(seconds)s)
        """,
        feed_id=feed_id,
        consumer=consumer,
        first=numbers.start,
        last=numbers.stop - 1,
        seconds=seconds,
    )


# The array is computed once. A join might scan all leases for each lease, before their number is in the statistics.
_CLAIM = """
    UPDATE {table} SET available_at = now() + make_interval(secs => %(seconds)s)
    WHERE series_id = %(feed_id)s AND consumer = %(consumer)s AND sequence = ANY (ARRAY(
        SELECT sequence FROM {table}
        WHERE series_id = %(feed_id)s AND consumer = %(consumer)s AND {is_available}
        ORDER BY sequence LIMIT %(limit)s
    ))
    RETURNING sequence
"""
_CLAIM_ENDED = _CLAIM.format(table="leases", is_available="available_at <= now()")
_CLAIM_REPLAYED = _CLAIM.format(
    table="parked", is_available="replayed_at IS NOT NULL AND coalesce(available_at, now()) <= now()"
)


def claim_available(tx: Transaction, feed_id: int, consumer: str, limit: int, seconds: float) -> list[int]:
    """Lease replayed events, and then events whose lease or delay has ended; return their numbers."""
    numbers: list[int] = []
    for statement in (_CLAIM_REPLAYED, _CLAIM_ENDED):
        room = limit - len(numbers)
        rows = tx.rows(statement, feed_id=feed_id, consumer=consumer, limit=room, seconds=seconds)
        numbers += [number for (number,) in rows]
    return numbers


def find_lease(tx: Transaction, feed_id: int, consumer: str, sequence: int) -> Lease | None:
    rows = tx.rows(
        """
        SELECT nacks, available_at IS NULL FROM leases
        WHERE series_id = %(feed_id)s AND consumer = %(consumer)s AND sequence = %(sequence)s
        """,
        feed_id=feed_id,
        consumer=consumer,
        sequence=sequence,
    )
    return Lease(*rows[0]) if rows else None


def acknowledge_lease(tx: Transaction, feed_id: int, consumer: str, sequence: int) -> None:
    tx.run(
        """
        UPDATE leases SET available_at = NULL
        WHERE series_id = %(feed_id)s AND consumer = %(consumer)s AND sequence = %(sequence)s
        """,
        feed_id=feed_id,
        consumer=consumer,
        sequence=sequence,
    )


def find_last_acknowledged(tx: Transaction, feed_id: int, consumer: str, after: int) -> int:
    """Return the last number up to which every event after `after` is acknowledged; `after` if the next one is not."""
    return int(
        tx.value(
            """
            SELECT coalesce(
                (SELECT sequence - 1 FROM leases
                 WHERE series_id = %(feed_id)s AND consumer = %(consumer)s AND sequence > %(after)s
                   AND available_at IS NOT NULL
                 ORDER BY sequence LIMIT 1),
                (SELECT max(sequence) FROM leases
                 WHERE series_id = %(feed_id)s AND consumer = %(consumer)s AND sequence > %(after)s),
                %(after)s
            )
            """,
            feed_id=feed_id,
            consumer=consumer,
            after=after,
        )
    )


def delete_leases(tx: Transaction, feed_id: int, consumer: str, *, up_to: int | None = None) -> None:
    tx.run(
        """
        DELETE FROM leases WHERE series_id = %(feed_id)s AND consumer = %(consumer)s
          AND (%(up_to)s::bigint IS NULL OR sequence <= %(up_to)s)
        """,
        feed_id=feed_id,
        consumer=consumer,
        up_to=up_to,
    )


def increment_lease_nacks(
    tx: Transaction, feed_id: int, consumer: str, sequence: int, reason: str, delay_seconds: float, now: datetime
) -> None:
    """Count a NACK and end the lease: any reader may lease the event again after the delay."""
    tx.run(
        """
        UPDATE leases
        SET nacks = nacks + 1, nacked_at = coalesce(nacked_at, %(now)s), reason = %(reason)s,
            available_at = now() + make_interval(secs => %(delay)s)
        WHERE series_id = %(feed_id)s AND consumer = %(consumer)s AND sequence = %(sequence)s
        """,
        feed_id=feed_id,
        consumer=consumer,
        sequence=sequence,
        reason=reason,
        delay=delay_seconds,
        now=now,
    )
