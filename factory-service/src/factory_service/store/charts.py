"""Charts and attainment, built as JSON text by Postgres: each statement returns ETag, body and size."""

from factory_service.domain.charts import MAX_BUCKETS, MAX_POINTS

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

# Keeps the minimum and maximum of both series in each of several equal time intervals, and both ends: min-max
# aggregation, as examined by U. Jugel et al. in "M4: A Visualization-Oriented Time Series Data Aggregation",
# PVLDB 7(10), 2014. An interval contributes at most 4 points, so that the result has at most `points`. If several
# points have the extreme value, the earliest is kept.
_DOWNSAMPLED = """
    WITH selected AS (
        SELECT time, actual, goal FROM points
        WHERE factory_id = f.id AND time BETWEEN %(first)s AND %(last)s
    ), span AS (
        SELECT count(*) AS size, min(time) AS first, max(time) AS last FROM selected
    ), intervals AS (
        SELECT min(ARRAY[actual, time, goal]) AS min_actual, max(ARRAY[actual, -time, goal]) AS max_actual,
               min(ARRAY[goal, time, actual]) AS min_goal, max(ARRAY[goal, -time, actual]) AS max_goal
        FROM selected, span WHERE size > %(points)s
        GROUP BY (time - span.first) * ((%(points)s - 2) / 4) / (span.last - span.first + 1)
    )
    SELECT time, actual, goal FROM (
        SELECT kept.* FROM intervals, LATERAL (VALUES
            (min_actual[2], min_actual[1], min_actual[3]), (-max_actual[2], max_actual[1], max_actual[3]),
            (min_goal[2], min_goal[3], min_goal[1]), (-max_goal[2], max_goal[3], max_goal[1])
        ) AS kept (time, actual, goal)
        UNION
        SELECT time, actual, goal FROM selected, span WHERE size <= %(points)s OR time IN (span.first, span.last)
    ) AS downsampled
    ORDER BY time
"""


def _statement(part: str, *, is_downsampled: bool) -> str:
    """Return the statement for one part of a chart.

    Parameters: id, first, last, is_filtered (whether first and last exclude anything), and points if downsampled.
    """
    return f"""
        SELECT f.version || '-' || f.mark AS tag, c.body,
               CASE WHEN %(is_filtered)s OR {is_downsampled} THEN c.size ELSE f.points END AS size
        FROM factories f CROSS JOIN LATERAL (
            SELECT {PARTS[part]} AS body, count(*) AS size FROM ({_DOWNSAMPLED if is_downsampled else _POINTS}) AS p
        ) AS c WHERE f.id = %(id)s
    """


FULL = {part: _statement(part, is_downsampled=False) for part in PARTS}
DOWNSAMPLED = {part: _statement(part, is_downsampled=True) for part in PARTS}

# The body is null if the charts of the page have more than `max_points` points in total.
PAGE = f"""
    WITH page AS MATERIALIZED (
        SELECT id, name, points FROM factories ORDER BY id LIMIT %(limit)s OFFSET %(offset)s
    ), total AS (
        SELECT coalesce(sum(points), 0) AS size FROM page
    )
    SELECT n.version || '-' || n.mark AS tag,
           CASE WHEN total.size <= %(max_points)s THEN '{{"factories":[' || coalesce((
               SELECT string_agg(c.body, ',' ORDER BY f.id) FROM page f CROSS JOIN LATERAL (
                   SELECT {PARTS[""]} AS body FROM (
                       SELECT time, actual, goal FROM points WHERE factory_id = f.id ORDER BY time) AS p) AS c
           ), '') || '],"count":' || (SELECT count(*) FROM factories) || '}}' END AS body,
           total.size::bigint AS size
    FROM collections n, total WHERE n.name = 'factories'
"""

# Consecutive misses have the same difference between two row numbers: that among all points of the bucket, and that
# among the misses of the bucket.
ATTAINMENT = f"""
    SELECT f.version || '-' || f.mark AS tag, b.body, b.size FROM factories f CROSS JOIN LATERAL (
        WITH numbered AS (
            SELECT time / %(width)s * %(width)s AS bucket, actual, goal, actual < goal AS missed,
                   row_number() OVER (PARTITION BY time / %(width)s ORDER BY time)
                   - row_number() OVER (PARTITION BY time / %(width)s, actual < goal ORDER BY time) AS run
            FROM points WHERE factory_id = f.id AND time BETWEEN %(first)s AND %(last)s
        ), runs AS (
            SELECT bucket, missed, sum(actual) AS actual, sum(goal) AS goal, count(*) AS length
            FROM numbered GROUP BY bucket, missed, run
        ), buckets AS (
            SELECT bucket, sum(actual) AS actual, sum(goal) AS goal,
                   coalesce(sum(length) FILTER (WHERE missed), 0) AS missed,
                   coalesce(max(length) FILTER (WHERE missed), 0) AS longest
            FROM runs GROUP BY bucket ORDER BY bucket LIMIT {MAX_BUCKETS + 1}
        )
        SELECT count(*) AS size, '{{"buckets":[' || coalesce(string_agg(
            '{{"time":' || bucket || ',"actual":' || actual || ',"goal":' || goal
            || ',"ratio":' || coalesce((actual::float8 / nullif(goal, 0)::float8)::text, 'null')
            || ',"missed":' || missed || ',"longest_miss":' || longest || '}}', ',' ORDER BY bucket), '')
            || ']}}' AS body FROM buckets
    ) AS b WHERE f.id = %(id)s
"""
