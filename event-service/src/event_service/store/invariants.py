"""Statements that recompute what must hold, in one pass over the events each: a row that breaks it, or none."""

from typing import Any

from chassis.db import Transaction


def find_broken_position(tx: Transaction) -> dict[str, Any] | None:
    """Positions are unique: as many as the last one, which is that of the stream, means that none is missing."""
    return tx.find(
        """
        SELECT streams.name AS stream, streams.position, coalesce(found.count, 0) AS events, found.last
        FROM streams FULL JOIN (
            SELECT stream_id, count(*) AS count, min(position) AS first, max(position) AS last
            FROM events GROUP BY stream_id
        ) AS found ON found.stream_id = streams.id
        WHERE (streams.position, streams.position, least(streams.position, 1))
              IS DISTINCT FROM (coalesce(found.count, 0), coalesce(found.last, 0), coalesce(found.first, 0))
        LIMIT 1
        """
    )


def find_broken_sequence(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(
        """
        SELECT series.stream_id, series.name, series.last AS counter, coalesce(found.count, 0) AS events, found.last
        FROM series FULL JOIN (
            SELECT series_id, count(*) AS count, min(sequence) AS first, max(sequence) AS last
            FROM events GROUP BY series_id
        ) AS found ON found.series_id = series.id
        WHERE (series.last, series.last, least(series.last, 1))
              IS DISTINCT FROM (coalesce(found.count, 0), coalesce(found.last, 0), coalesce(found.first, 0))
        LIMIT 1
        """
    )


def find_order_contradiction(tx: Transaction) -> dict[str, Any] | None:
    """Within a name, positions rise with sequences; and an event's series is one of its stream."""
    return tx.find(
        """
        SELECT id::text AS event, stream_id, position, sequence FROM (
            SELECT events.id, events.stream_id, series.stream_id AS of_series, position, sequence,
                   lag(position) OVER (PARTITION BY series_id ORDER BY sequence) AS before
            FROM events LEFT JOIN series ON series.id = series_id
        ) AS found
        WHERE before >= position OR of_series IS DISTINCT FROM stream_id
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
        LEFT JOIN events USING (series_id, sequence)
        WHERE events.id IS NULL OR acknowledged IS NULL OR parked.sequence > acknowledged
        LIMIT 1
        """
    )
