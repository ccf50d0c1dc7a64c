"""Statements that recompute what must hold, in one pass over the runs of events each: a row that breaks it, or none."""

from typing import Any

from chassis.db import Transaction


def find_broken_position(tx: Transaction) -> dict[str, Any] | None:
    """Each run begins behind the one before it, the first at 1, and the last ends where the stream does."""
    return tx.find(_GAP.format(of="stream_id", number="position", counters="streams", last="position"))


def find_broken_sequence(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(_GAP.format(of="series_id", number="sequence", counters="series", last="last"))


_GAP = """
    SELECT counter.name, counter.{last} AS counter, found.last, found.gap
    FROM {counters} AS counter FULL JOIN (
        SELECT {of}, max({number}) AS last, min({number}) FILTER (WHERE {number} - count <> before) AS gap
        FROM (
            SELECT {of}, {number}, count,
                   lag({number}, 1, 0::bigint) OVER (PARTITION BY {of} ORDER BY {number}) AS before
            FROM runs
        ) AS run GROUP BY {of}
    ) AS found ON found.{of} = counter.id
    WHERE counter.{last} IS DISTINCT FROM coalesce(found.last, 0) OR found.gap IS NOT NULL
    LIMIT 1
"""


def find_order_contradiction(tx: Transaction) -> dict[str, Any] | None:
    """Within a name, positions rise with sequences; and an event's series is one of its stream."""
    return tx.find(
        """
        SELECT id::text AS event, stream_id, position, sequence FROM (
            SELECT runs.id, runs.stream_id, series.stream_id AS of_series, position, sequence, count,
                   lag(position) OVER (PARTITION BY series_id ORDER BY sequence) AS before
            FROM runs LEFT JOIN series ON series.id = series_id
        ) AS found
        WHERE before > position - count OR of_series IS DISTINCT FROM stream_id
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
