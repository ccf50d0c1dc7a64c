"""SQL statements that recompute the invariants.

Each returns a row that violates its invariant, or None, in one pass over the events.
"""

from typing import Any

from chassis.db import Transaction


def find_broken_position(tx: Transaction) -> dict[str, Any] | None:
    """Compare count, first and last of the positions: since positions are unique, this detects every gap.

    Retention deletes the first events, and the counter of the stream states the first position that is left.
    """
    return tx.find(_BROKEN_NUMBERS.format(group="stream_id", number="position", counters="streams", last="position"))


def find_broken_sequence(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(_BROKEN_NUMBERS.format(group="series_id", number="sequence", counters="series", last="last"))


_BROKEN_NUMBERS = """
    SELECT counter.name, counter.first AS counted_first, counter.{last} AS counter,
           stored.first, stored.last, stored.count
    FROM {counters} AS counter FULL JOIN (
        SELECT {group}, min({number}) AS first, max({number}) AS last, count(*) FROM events GROUP BY {group}
    ) AS stored ON stored.{group} = counter.id
    WHERE counter.{last} IS DISTINCT FROM coalesce(stored.last, counter.first - 1)
       OR stored.first <> counter.first OR stored.count <> stored.last - stored.first + 1
    LIMIT 1
"""


def find_broken_order(tx: Transaction) -> dict[str, Any] | None:
    """Check that positions increase with sequences, and that the series of an event belongs to its stream."""
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


# linear in the number of offsets
def find_broken_offset(tx: Transaction) -> dict[str, Any] | None:
    """Check that each offset is between the last deleted and the last number, and that its NACKs are plausible."""
    return tx.find(
        """
        SELECT consumer, series_id, acknowledged, first, last, nacks, has_leases
        FROM offsets LEFT JOIN feeds ON feeds.id = series_id
        WHERE last IS NULL OR acknowledged NOT BETWEEN first - 1 AND last
           OR nacks < 0 OR (nacks > 0) <> (nacked_at IS NOT NULL) OR (nacks > 0 AND (acknowledged = last OR has_leases))
        LIMIT 1
        """
    )


# linear in the number of parked events
def find_broken_parked(tx: Transaction) -> dict[str, Any] | None:
    """Check that no parked event was deleted, or is after the offset without being leased and acknowledged."""
    return tx.find(
        """
        SELECT parked.consumer, parked.series_id, parked.sequence, acknowledged
        FROM parked JOIN feeds ON feeds.id = parked.series_id
        LEFT JOIN offsets USING (series_id, consumer) LEFT JOIN leases USING (series_id, consumer, sequence)
        WHERE parked.sequence < feeds.first OR acknowledged IS NULL OR leases.available_at IS NOT NULL
           OR (parked.sequence > acknowledged AND leases.sequence IS NULL)
        LIMIT 1
        """
    )


# linear in the number of leases
def find_broken_lease(tx: Transaction) -> dict[str, Any] | None:
    """Check that each consumer has one row for each number from offset + 1, which is not acknowledged, to its last."""
    return tx.find(
        """
        SELECT series_id, consumer, acknowledged, stored.first, stored.last, stored.count
        FROM (
            SELECT series_id, consumer, min(sequence) AS first, max(sequence) AS last, count(*),
                   min(sequence) FILTER (WHERE available_at IS NULL) AS first_acknowledged
            FROM leases GROUP BY series_id, consumer
        ) AS stored
        LEFT JOIN offsets USING (series_id, consumer) LEFT JOIN feeds ON feeds.id = series_id
        WHERE has_leases IS NOT true OR stored.first <> acknowledged + 1 OR stored.last > coalesce(feeds.last, 0)
           OR stored.count <> stored.last - stored.first + 1 OR stored.first_acknowledged = stored.first
        LIMIT 1
        """
    )
