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
_STREAMS = "SELECT id AS unit, 1 AS first, position AS last, position AS settled FROM streams"
_SERIES = "SELECT id AS unit, 1 AS first, last, last AS settled FROM series"

INVARIANTS: dict[str, Invariant | Stepwise] = {
    "the positions of a stream are 1, 2, 3 … up to its last position": ranges(
        "positions", _STREAMS, _FIND_BROKEN_NUMBERS.format(group="stream_id", number="position")
    ),
    "the sequences of an event name are 1, 2, 3 … up to its last sequence": ranges(
        "sequences", _SERIES, _FIND_BROKEN_NUMBERS.format(group="series_id", number="sequence")
    ),
    # The event before the range is compared too.
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
        start=[-1],
        find="SELECT series_id FROM page WHERE NOT EXISTS (SELECT FROM series WHERE id = series_id)",
    ),
    "no offset is greater than the last sequence": sweep(
        """
        SELECT series_id, consumer, name, acknowledged, last, nacks, nacked_at
        FROM offsets JOIN series ON series.id = series_id
        """,
        key=["series_id", "consumer"],
        start=[0, ""],
        find="""
        SELECT consumer, name, acknowledged, last, nacks FROM page
        WHERE acknowledged NOT BETWEEN 0 AND last OR nacks < 0 OR (nacks > 0) <> (nacked_at IS NOT NULL)
           OR (nacks > 0 AND acknowledged = last)
        """,
    ),
    "no parked event is after the offset of its consumer": sweep(
        "SELECT series_id, consumer, sequence FROM parked",
        key=["series_id", "consumer", "sequence"],
        start=[0, "", 0],
        find="""
        SELECT consumer, series_id, sequence, acknowledged FROM page LEFT JOIN offsets USING (series_id, consumer)
        WHERE sequence < 1 OR acknowledged IS NULL OR sequence > acknowledged
        """,
    ),
}
