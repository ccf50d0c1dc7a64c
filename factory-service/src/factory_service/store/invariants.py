"""The invariants of the service, as SQL statements that return a row that violates one."""

from typing import Any

from chassis.db import Transaction
from chassis.db.invariants import Invariant, Step, Stepwise, no_row, sweep

_SECONDS_PER_DAY = 24 * 3600
# A literal of one less would be numeric, for which the index is not used.
_MIN_BIGINT = -(2**63) + 1


def _verify_point_counts(tx: Transaction, mark: Any, limit: int) -> Step:
    """Count the next points; compare with the factory's own count when its last point has been counted.

    Points are only added to a factory. If its points are counted in several steps, the result is therefore between the
    factory's own count at the first step and that at the last step.
    """
    start = mark or {"factory": _MIN_BIGINT, "time": _MIN_BIGINT, "counted": 0, "at_first": 0}
    page = tx.one(_COUNT_PAGE, **start, limit=limit)
    return Step(page["violation"], page["mark"], is_done=page["mark"] is None)


_COUNT_PAGE = """
    WITH page AS MATERIALIZED (
        SELECT factory_id, time FROM points WHERE (factory_id, time) > (%(factory)s, %(time)s)
        ORDER BY factory_id, time LIMIT %(limit)s
    ), counts AS (
        SELECT id, max(time) AS time, sum(counted)::bigint AS counted, max(at_first) AS at_first FROM (
            SELECT factory_id AS id, max(time) AS time, count(*) AS counted, NULL::bigint AS at_first
            FROM page GROUP BY factory_id
            UNION ALL
            SELECT %(factory)s, %(time)s, %(counted)s, %(at_first)s
        ) AS parts GROUP BY id
    ), last AS (
        SELECT id, time, counted, coalesce(at_first, (SELECT points FROM factories WHERE factories.id = counts.id), 0)
            AS at_first
        FROM counts WHERE (SELECT count(*) FROM page) = %(limit)s ORDER BY id DESC LIMIT 1
    )
    SELECT (SELECT json_build_object('factory', id, 'time', time, 'counted', counted, 'at_first', at_first) FROM last)
               AS mark,
           (SELECT row_to_json(violation)::text FROM (
               SELECT id, points, coalesce(counted, 0) AS counted FROM factories LEFT JOIN counts USING (id)
               WHERE id >= %(factory)s AND id < coalesce((SELECT id FROM last), 9223372036854775807)
                 AND coalesce(counted, 0) NOT BETWEEN coalesce(at_first, points) AND points LIMIT 1
           ) AS violation) AS violation
"""

# Those of a factory are not read while they are built, and never again once it is deleted.
_HAS_ROLLUPS = """
    NOT EXISTS (SELECT FROM incomplete_rollups i WHERE i.factory_id = page.factory_id)
    AND NOT EXISTS (SELECT FROM gone_factories g WHERE g.id = page.factory_id)
"""
# A roll-up that differs from the points of its quarter hour or from the roll-ups that it consists of, or that is not
# part of a wider one.
_FIND_WRONG_ROLLUP = f"""
    SELECT factory_id, page.width, page.start FROM page
    LEFT JOIN (VALUES (900, 3600), (3600, 86400), (86400, 604800)) AS narrow (part_width, width)
        ON narrow.width = page.width
    LEFT JOIN (VALUES (900, 3600), (3600, 86400), (86400, 604800)) AS wide (part_width, width)
        ON wide.part_width = page.width
    LEFT JOIN LATERAL (
        SELECT e.* FROM rolled_up_points(page.factory_id, ARRAY[page.start]) AS e WHERE page.width = 900
        UNION ALL
        SELECT e.* FROM merged_rollups(page.factory_id, narrow.part_width, narrow.width, ARRAY[page.start]) AS e
        WHERE page.width > 900
    ) AS expected USING (factory_id)
    WHERE (expected IS DISTINCT FROM page OR wide.width IS NOT NULL AND NOT EXISTS (
        SELECT FROM rollups r
        WHERE r.factory_id = page.factory_id AND r.width = wide.width
          AND r.start = page.start - (page.start + 259200) %% wide.width OFFSET 0
    )) AND {_HAS_ROLLUPS}
"""

INVARIANTS: dict[str, Invariant | Stepwise] = {
    "point_count of every factory equals its points": Stepwise(_verify_point_counts, _SECONDS_PER_DAY),
    # The recursion reads one point per factory.
    "every point belongs to a factory": sweep(
        """
        WITH RECURSIVE owners AS (
            (SELECT factory_id FROM points WHERE factory_id > %(after)s ORDER BY factory_id LIMIT 1)
            UNION ALL
            SELECT (SELECT p.factory_id FROM points p WHERE p.factory_id > o.factory_id ORDER BY p.factory_id LIMIT 1)
            FROM owners o WHERE o.factory_id IS NOT NULL
        )
        SELECT factory_id FROM owners WHERE factory_id IS NOT NULL LIMIT %(limit)s
        """,
        key=["factory_id"],
        start=[_MIN_BIGINT],
        find="""
        SELECT factory_id FROM page
        WHERE NOT EXISTS (SELECT FROM factories WHERE id = factory_id)
          AND NOT EXISTS (SELECT FROM gone_factories WHERE id = factory_id)
          AND NOT EXISTS (SELECT FROM loads l WHERE l.factory_id = page.factory_id)
        """,
    ),
    "every point is within the allowed range": sweep(
        "SELECT factory_id, time, actual, goal FROM points",
        key=["factory_id", "time"],
        start=[_MIN_BIGINT, _MIN_BIGINT],
        find="""
        SELECT factory_id, time FROM page
        WHERE time NOT BETWEEN 0 AND 2::bigint ^ 53 OR abs(actual) > 2::bigint ^ 31 OR abs(goal) > 2::bigint ^ 31
        """,
        pause_seconds=_SECONDS_PER_DAY,
    ),
    # A roll-up is of up to 900 points.
    "roll-ups equal the points": sweep(
        "SELECT * FROM rollups",
        key=["factory_id", "width", "start"],
        start=[_MIN_BIGINT, 0, 0],
        find=_FIND_WRONG_ROLLUP,
        pause_seconds=_SECONDS_PER_DAY,
        weight=100,
    ),
    "every point is in a roll-up": sweep(
        "SELECT factory_id, time FROM points",
        key=["factory_id", "time"],
        start=[_MIN_BIGINT, _MIN_BIGINT],
        find=f"""
        SELECT factory_id, start FROM (SELECT DISTINCT factory_id, time / 900 * 900 AS start FROM page) AS page
        WHERE NOT EXISTS (
            SELECT FROM rollups r
            WHERE r.factory_id = page.factory_id AND r.width = 900 AND r.start = page.start OFFSET 0
        ) AND {_HAS_ROLLUPS}
        """,
        pause_seconds=_SECONDS_PER_DAY,
        weight=2,
    ),
    "every loaded entry has its factory or sprocket": sweep(
        "SELECT collection, id FROM loaded",
        key=["collection", "id"],
        start=["", _MIN_BIGINT],
        find="""
        SELECT collection, id FROM page
        WHERE NOT EXISTS (SELECT FROM factories f WHERE page.collection = 'factories' AND f.id = page.id)
          AND NOT EXISTS (SELECT FROM sprockets s WHERE page.collection = 'sprockets' AND s.id = page.id)
          AND NOT EXISTS (SELECT FROM loads n WHERE page.collection = 'factories' AND n.factory_id = page.id)
        """,
    ),
    "no ID is greater than the last issued ID": no_row(
        lambda tx: tx.find(
            """
            SELECT c.name, c.last_id, greatest(
                (SELECT max(id) FROM factories WHERE c.name = 'factories'),
                (SELECT max(id) FROM sprockets WHERE c.name = 'sprockets')) AS max_id
            FROM collections c
            WHERE c.last_id < greatest(
                (SELECT max(id) FROM factories WHERE c.name = 'factories'),
                (SELECT max(id) FROM sprockets WHERE c.name = 'sprockets'))
            LIMIT 1
            """
        )
    ),
}
