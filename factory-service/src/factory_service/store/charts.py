"""Charts, built as JSON text by Postgres: each statement returns ETag, body and size."""

from typing import NamedTuple

from chassis.db import Transaction
from factory_service.domain.charts import MAX_POINTS

_ARRAY = "coalesce(array_to_json(array_agg({column}))::text, '[]')"
_ACTUAL, _GOAL, _TIME = (_ARRAY.format(column=f"p.{column}") for column in ("actual", "goal", "time"))
_CHART = f"""
    '{{"sprocket_production_actual":' || {_ACTUAL} || ',"sprocket_production_goal":' || {_GOAL}
    || ',"time":' || {_TIME} || '}}'
"""
# SQL expressions of the response bodies, by the rest of the path after that of the factory.
PARTS = {
    "": f"""
        '{{"id":' || f.id || ',"name":' || to_json(f.name)::text || ',"factory":{{"chart_data":' || {_CHART} || '}}}}'
    """,
    "/chart-data": f"""'{{"chart_data":' || {_CHART} || '}}'""",
    "/production-actual": f"""'{{"sprocket_production_actual":' || {_ACTUAL} || '}}'""",
    "/production-goal": f"""'{{"sprocket_production_goal":' || {_GOAL} || '}}'""",
    "/time": f"""'{{"time":' || {_TIME} || '}}'""",
}

# One point more than the maximum shows that there are too many. If all points are requested, the factory's own count
# is checked first.
_POINTS = f"""
    SELECT time, actual, goal FROM points
    WHERE factory_id = f.id AND (f.points <= {MAX_POINTS} OR %(is_filtered)s)
      AND time BETWEEN %(first)s AND %(last)s
    ORDER BY time LIMIT {MAX_POINTS + 1}
"""


def _statement(part: str) -> str:
    """Return the statement for one part of a chart.

    Parameters: id, first, last, and is_filtered (whether first and last exclude anything).
    """
    return f"""
        SELECT f.version || '-' || f.mark AS tag, c.body,
               CASE WHEN %(is_filtered)s THEN c.size ELSE f.points END AS size
        FROM factories f CROSS JOIN LATERAL (
            SELECT {PARTS[part]} AS body, count(*) AS size FROM ({_POINTS}) AS p
        ) AS c WHERE f.id = %(id)s
    """


FULL = {part: _statement(part) for part in PARTS}


def _page(size: str, points: str) -> str:
    """Return the statement for a page of factories with `points` of each, whose number is `size`.

    The body is null if the charts of the page have more than `max_points` points in total.
    """
    return f"""
        WITH page AS MATERIALIZED (
            SELECT id, name, points FROM factories ORDER BY id LIMIT %(limit)s OFFSET %(offset)s
        ), total AS (
            SELECT coalesce(sum({size}), 0) AS size FROM page
        )
        SELECT n.version || '-' || n.mark AS tag,
               CASE WHEN total.size <= %(max_points)s THEN '{{"factories":[' || coalesce((
                   SELECT string_agg(c.body, ',' ORDER BY f.id) FROM page f CROSS JOIN LATERAL (
                       SELECT {PARTS[""]} AS body FROM ({points}) AS p) AS c
               ), '') || '],"count":' || (SELECT count(*) FROM factories) || '}}' END AS body,
               total.size::bigint AS size
        FROM collections n, total WHERE n.name = 'factories'
    """


PAGE = _page("points", "SELECT time, actual, goal FROM points WHERE factory_id = f.id ORDER BY time")
# Only the last `newest` points of each factory.
NEWEST_PAGE = _page(
    "least(points, %(newest)s)",
    """
    SELECT * FROM (
        SELECT time, actual, goal FROM points WHERE factory_id = f.id ORDER BY time DESC LIMIT %(newest)s
    ) AS last ORDER BY time
    """,
)


class Extent(NamedTuple):
    """A part of a chart: the times of its first and last point, None if there are none."""

    tag: str
    first: int | None
    last: int | None
    # Whether the roll-ups of the factory are complete.
    has_rollups: bool


def find_extent(tx: Transaction, id_: int, first: int, last: int) -> Extent | None:
    """Return the extent of the points between both times, None if the factory does not exist."""
    rows = tx.rows(
        """
        SELECT f.version || '-' || f.mark,
               (SELECT min(time) FROM points WHERE factory_id = f.id AND time BETWEEN %(first)s AND %(last)s),
               (SELECT max(time) FROM points WHERE factory_id = f.id AND time BETWEEN %(first)s AND %(last)s),
               NOT EXISTS (SELECT FROM incomplete_rollups WHERE factory_id = f.id)
        FROM factories f WHERE f.id = %(id)s
        """,
        id=id_,
        first=first,
        last=last,
    )
    return Extent(*rows[0]) if rows else None


def count_points(tx: Transaction, id_: int, first: int, last: int, limit: int) -> int:
    """Return the number of points between both times, or `limit` if there are more."""
    return int(
        tx.value(
            """
            SELECT count(*) FROM (
                SELECT FROM points WHERE factory_id = %(id)s AND time BETWEEN %(first)s AND %(last)s LIMIT %(limit)s
            ) AS p
            """,
            id=id_,
            first=first,
            last=last,
            limit=limit,
        )
    )
