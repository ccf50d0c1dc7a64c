"""The invariants of the service, as SQL statements that return a row that violates one."""

from chassis.db.invariants import Invariant, Stepwise, ranges, sweep

# Appended events never change, so each is verified once. Since numbers are unique, their count detects every gap.
_FIND_BROKEN_NUMBERS = """
    SELECT unit AS {group}, first, last, after + 1 AS verified_from, upto AS verified_to, stored.count
    FROM ranges CROSS JOIN LATERAL (
        SELECT count(*) FROM events WHERE {group} = unit AND {number} > after AND {number} <= upto
    ) AS stored
    WHERE stored.count <> upto - after
       OR EXISTS (SELECT FROM events WHERE {group} = unit AND {number} > last)
       OR EXISTS (SELECT FROM events WHERE {group} = unit AND {number} < first)
"""
# Retention deletes the first events, and in the same transaction stores the first number that is left.
_STREAMS = "SELECT id AS unit, first, position AS last, position AS settled FROM streams"
_SERIES = "SELECT id AS unit, first, last, last AS settled FROM series"

# IDs of feeds may be negative. A literal of one less would be numeric, for which the index is not used.
_MIN_BIGINT = -(2**63) + 1
# As the view `feeds`, but each feed is looked up in an index.
_LEFT_JOIN_FEED = """
    LEFT JOIN LATERAL (
        SELECT first, last FROM series WHERE id = page.series_id AND name <> '*'
        UNION ALL SELECT first, position FROM streams WHERE id = -page.series_id AND producer IS NOT NULL
    ) AS feed ON true
"""

INVARIANTS: dict[str, Invariant | Stepwise] = {
    "the positions of a stream have no gap up to its last position": ranges(
        "positions", _STREAMS, _FIND_BROKEN_NUMBERS.format(group="stream_id", number="position")
    ),
    "the sequences of an event name have no gap up to its last sequence": ranges(
        "sequences", _SERIES, _FIND_BROKEN_NUMBERS.format(group="series_id", number="sequence")
    ),
    # The event before the range is compared too, unless retention deleted it.
    "the sequences and positions of an event name increase together": ranges(
        "order",
        _SERIES,
        """
        SELECT event.stream_id, event.position, event.sequence
        FROM ranges JOIN series ON series.id = unit CROSS JOIN LATERAL (
            SELECT stream_id, position, sequence, lag(position) OVER (ORDER BY sequence) AS previous
            FROM events WHERE series_id = unit AND sequence >= after AND sequence <= upto
        ) AS event
        WHERE event.previous > event.position OR event.stream_id <> series.stream_id
        """,
    ),
    # The recursion reads one event per event name.
    "every event belongs to an event name of a stream": sweep(
        """
        WITH RECURSIVE stored AS (
            (SELECT series_id FROM events WHERE series_id > %(after)s ORDER BY series_id LIMIT 1)
            UNION ALL
            SELECT (SELECT events.series_id FROM events WHERE events.series_id > stored.series_id
                    ORDER BY events.series_id LIMIT 1)
            FROM stored WHERE stored.series_id IS NOT NULL
        )
        SELECT series_id FROM stored WHERE series_id IS NOT NULL LIMIT %(limit)s
        """,
        key=["series_id"],
        start=[_MIN_BIGINT],
        find="SELECT series_id FROM page WHERE NOT EXISTS (SELECT FROM series WHERE id = series_id)",
    ),
    # At least the number before the first event that is left; only an event that can be read next has NACKs.
    "no offset is greater than the last sequence": sweep(
        "SELECT series_id, consumer, acknowledged, nacks, nacked_at, has_leases FROM offsets",
        key=["series_id", "consumer"],
        start=[_MIN_BIGINT, ""],
        find=f"""
        SELECT consumer, series_id, acknowledged, first, last, nacks, has_leases FROM page {_LEFT_JOIN_FEED}
        WHERE last IS NULL OR acknowledged NOT BETWEEN first - 1 AND last
           OR nacks < 0 OR (nacks > 0) <> (nacked_at IS NOT NULL) OR (nacks > 0 AND (acknowledged = last OR has_leases))
        """,
    ),
    # A parked event was not deleted. It is after the offset only if it was leased, and its lease is then acknowledged.
    "no parked event is after the offset of its consumer, or leased": sweep(
        "SELECT series_id, consumer, sequence FROM parked",
        key=["series_id", "consumer", "sequence"],
        start=[_MIN_BIGINT, "", 0],
        find=f"""
        SELECT consumer, series_id, sequence, acknowledged, first
        FROM page LEFT JOIN offsets USING (series_id, consumer) LEFT JOIN leases USING (series_id, consumer, sequence)
        {_LEFT_JOIN_FEED}
        WHERE sequence < first OR acknowledged IS NULL OR leases.available_at IS NOT NULL
           OR (sequence > acknowledged AND leases.sequence IS NULL)
        """,
    ),
    # Each lease is compared with the one before it, maybe of the previous page. The first one is not acknowledged.
    "the leases of a consumer are all events after its offset up to its last lease": sweep(
        "SELECT series_id, consumer, sequence, available_at FROM leases",
        key=["series_id", "consumer", "sequence"],
        start=[_MIN_BIGINT, "", 0],
        find=f"""
        SELECT series_id, consumer, sequence, available_at, acknowledged, has_leases, last
        FROM page LEFT JOIN offsets USING (series_id, consumer) {_LEFT_JOIN_FEED}
        WHERE has_leases IS NOT true OR sequence <= acknowledged OR sequence > coalesce(last, 0)
           OR CASE WHEN sequence = acknowledged + 1 THEN available_at IS NULL ELSE NOT EXISTS (
               SELECT FROM leases AS previous
               WHERE previous.series_id = page.series_id AND previous.consumer = page.consumer
                 AND previous.sequence = page.sequence - 1
               OFFSET 0
           ) END
        """,
    ),
}
