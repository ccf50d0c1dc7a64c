"""Downsampled charts: the extremes of each of several equal intervals.

This is min-max aggregation, as examined by U. Jugel et al. in "M4: A Visualization-Oriented Time Series Data
Aggregation", PVLDB 7(10), 2014. If several points have the extreme value, the earliest is kept.
"""

import functools
from typing import Any

from chassis.db import Transaction
from factory_service.domain.buckets import Span
from factory_service.store.charts import PARTS
from factory_service.store.replica import Row
from factory_service.store.tiles import parameters, tiles

_COLUMNS = "min_actual, max_actual, min_goal, max_goal"
# As in roll-ups: the value, and the position of the point in the lower 20 bits.
_BITS, _MASK = 20, 2**20 - 1
_POINT = ", ".join(f"{name} << {_BITS}, ({name} << {_BITS}) + {_MASK}" for name in ("actual", "goal"))
_EXTREMES = [(name, name[:3], name[4:]) for name in _COLUMNS.split(", ")]
_LIMITS = ", ".join(f"{kind}({name} >> {_BITS}) AS {kind}imum_{series}" for name, kind, series in _EXTREMES)
_TIMES = ", ".join(
    f"min(start + {'' if kind == 'min' else f'{_MASK} - '}({name} & {_MASK}))"
    f" FILTER (WHERE {name} >> {_BITS} = {kind}imum_{series})"
    for name, kind, series in _EXTREMES
)
_KEPT = f"""
    , intervals AS (
        SELECT bucket, {_LIMITS} FROM tiles GROUP BY bucket
    ), extremes AS (
        SELECT ARRAY[{_TIMES}] AS times FROM tiles JOIN intervals USING (bucket) GROUP BY bucket
    ), kept AS (
        SELECT unnest(times) AS time FROM extremes UNION SELECT unnest(ARRAY[%(first_time)s, %(last_time)s]::bigint[])
    )
"""


@functools.cache
def _statement(part: str, rollup_widths: tuple[int, ...]) -> str:
    return f"""
        {tiles(_COLUMNS, _POINT, rollup_widths)} {_KEPT}
        SELECT %(tag)s, c.body, c.size
        FROM factories f CROSS JOIN LATERAL (
            SELECT {PARTS[part]} AS body, count(*) AS size FROM (
                SELECT p.* FROM kept CROSS JOIN LATERAL (
                    SELECT time, actual, goal FROM points WHERE factory_id = %(id)s AND points.time = kept.time OFFSET 0
                ) AS p ORDER BY time
            ) AS p
        ) AS c WHERE f.id = %(id)s
    """


def get_extremes(
    tx: Transaction, part: str, id_: int, tag: str, span: Span, width: int, rollup_widths: tuple[int, ...]
) -> Row:
    """Return tag, body and number of points. The first and the last time of the span must be those of points."""
    params: dict[str, Any] = {"id": id_, "tag": tag, "first_time": span.first, "last_time": span.last}
    (row,) = tx.rows(_statement(part, rollup_widths), **params, **parameters([span], width))
    return row
