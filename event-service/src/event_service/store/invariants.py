"""Statements that recompute what must hold, in one pass over the events each: a row that breaks it, or none."""

from typing import Any

from chassis.db import Transaction


def find_broken_position(tx: Transaction) -> dict[str, Any] | None:
    """As many events as the last position, the first at 1: positions are unique, so none is missing."""
    return tx.find(_BROKEN_NUMBERS.format(of="stream_id", number="position", counters="streams", last="position"))


def find_broken_sequence(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(_BROKEN_NUMBERS.format(of="series_id", number="sequence", counters="series", last="last"))


_BROKEN_NUMBERS = """
    SELECT counter.name, counter.{last} AS counter, stored.first, stored.last, stored.count
    FROM {counters} AS counter FULL JOIN (
        SELECT {of}, min({number}) AS first, max({number}) AS last, count(*) FROM events GROUP BY {of}
    ) AS stored ON stored.{of} = counter.id
    WHERE counter.{last} IS DISTINCT FROM coalesce(stored.last, 0) OR stored.count <> stored.last OR stored.first <> 1
    LIMIT 1
"""


def find_order_contradiction(tx: Transaction) -> dict[str, Any] | None:
    """Within a name, positions rise with sequences; and an event's series is one of its stream."""
    return tx.find(
        """
        SELECT event.stream_id, event.position, event.sequence FROM (
            SELECT stream_id, series_id, position, sequence,
                   lag(position) OVER (PARTITION BY series_id ORDER BY sequence) AS previous
            FROM events
        ) AS event JOIN series ON series.id = event.series_id
        WHERE event.previous > event.position OR series.stream_id <> event.stream_id
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
