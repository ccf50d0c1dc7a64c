"""Statements that recompute what must hold, in one pass over the runs of events each: a row that breaks it, or none."""

from typing import Any

from chassis.db import Transaction


def find_broken_position(tx: Transaction) -> dict[str, Any] | None:
    """The runs of a stream are one chain: each begins where another ends, but the first; the last ends as the stream.

    Then they end at the same numbers that they begin after, but for 0 and the last one. Whether two sets of numbers are
    the same is seen by the sum of their hashes, in one pass (a wrong yes: one in 2^64).
    """
    return tx.find(_BROKEN_CHAIN.format(of="stream_id", number="position", counters="streams", last="position"))


def find_broken_sequence(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(_BROKEN_CHAIN.format(of="series_id", number="sequence", counters="series", last="last"))


_BROKEN_CHAIN = """
    SELECT counter.name, counter.{last} AS counter, found.last, found.events
    FROM {counters} AS counter FULL JOIN (
        SELECT {of}, max({number}) AS last, sum(count) AS events,
               sum(hashint8extended({number}, 0)) - sum(hashint8extended({number} - count, 0)) AS rest
        FROM runs GROUP BY {of}
    ) AS found ON found.{of} = counter.id
    WHERE counter.{last} IS DISTINCT FROM coalesce(found.last, 0)
       OR found.rest <> hashint8extended(found.last, 0)::numeric - hashint8extended(0, 0)
    LIMIT 1
"""


def find_order_contradiction(tx: Transaction) -> dict[str, Any] | None:
    """Within a name, positions rise with sequences; and an event's series is one of its stream."""
    return tx.find(
        """
        SELECT run.id::text AS event, run.stream_id, run.position, run.sequence
        FROM runs AS run JOIN series ON series.id = run.series_id
        LEFT JOIN runs AS before ON before.series_id = run.series_id AND before.sequence = run.sequence - run.count
        WHERE before.position > run.position - run.count OR series.stream_id <> run.stream_id
        LIMIT 1
        """
    )


def find_broken_offset(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(
        """
        SELECT consumer, name, acknowledged, last, nacks FROM offsets JOIN series ON series.id = series_id
        WHERE acknowledged NOT BETWEEN 0 AND last OR nacks < 0 OR (nacks > 0) <> (nacked_at IS NOT NULL)
           OR (nacks > 0 AND acknowledged = last)
        LIMIT 1
        """
    )


def find_broken_parked(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(
        """
        SELECT parked.consumer, parked.series_id, parked.sequence, acknowledged
        FROM parked LEFT JOIN offsets USING (series_id, consumer)
        WHERE parked.sequence < 1 OR acknowledged IS NULL OR parked.sequence > acknowledged
        LIMIT 1
        """
    )
