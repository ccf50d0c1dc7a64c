"""Attainment: sums and misses per bucket, combined from tiles and built as JSON text by Postgres."""

import functools
from typing import Any

from chassis.db import Transaction
from factory_service.domain.buckets import MAX_BUCKETS, Span
from factory_service.store.replica import Row
from factory_service.store.tiles import parameters, tiles

_COLUMNS = "points, actual, goal, missed, leading_misses, trailing_misses, longest_miss"
_MISS = "(actual < goal)::integer"
_POINT = f"1, actual, goal, {_MISS}, {_MISS}, {_MISS}, {_MISS}"

# A run of misses that spans several tiles has as many points as follow the last point that met its goal.
_BUCKETS = f"""
    , numbered AS (
        SELECT *, sum(points) OVER (PARTITION BY bucket ORDER BY start ROWS UNBOUNDED PRECEDING) - points AS preceding
        FROM tiles
    ), joined AS (
        SELECT *, coalesce(
            max(CASE WHEN missed < points THEN preceding + points - trailing_misses END)
            OVER (PARTITION BY bucket ORDER BY start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS last_met
        FROM numbered
    ), buckets AS (
        SELECT bucket, sum(actual) AS actual, sum(goal) AS goal, sum(missed) AS missed,
               max(greatest(longest_miss, preceding + leading_misses - last_met)) AS longest
        FROM joined GROUP BY bucket ORDER BY bucket LIMIT {MAX_BUCKETS + 1}
    )
    SELECT %(tag)s, '{{"buckets":[' || coalesce(string_agg(
               '{{"time":' || bucket || ',"actual":' || actual || ',"goal":' || goal
               || ',"ratio":' || coalesce((CASE WHEN goal > 0 THEN actual::float8 / goal::float8 END)::text, 'null')
               || ',"missed":' || missed || ',"longest_miss":' || longest || '}}', ',' ORDER BY bucket), '')
           || ']}}' AS body, count(*) AS size
    FROM buckets
"""


@functools.cache
def _statement(rollup_widths: tuple[int, ...]) -> str:
    return tiles(_COLUMNS, _POINT, rollup_widths) + _BUCKETS


def get_buckets(
    tx: Transaction, id_: int, tag: str, spans: list[Span], width: int, rollup_widths: tuple[int, ...]
) -> Row:
    """Return tag, body and number of buckets."""
    params: dict[str, Any] = {"id": id_, "tag": tag, **parameters(spans, width)}
    (row,) = tx.rows(_statement(rollup_widths), **params)
    return row
