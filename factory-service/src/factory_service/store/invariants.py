"""Queries that return a counterexample to an invariant, or None if it holds."""

from typing import Any

from chassis.db import Transaction


def find_wrong_point_count(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(
        """
        SELECT f.id, f.points, coalesce(p.points, 0) AS counted FROM factories f
        LEFT JOIN (SELECT factory_id, count(*) AS points FROM points GROUP BY factory_id) p ON p.factory_id = f.id
        WHERE f.points <> coalesce(p.points, 0) ORDER BY f.id LIMIT 1
        """
    )


def find_orphaned_points(tx: Transaction) -> dict[str, Any] | None:
    """Return a factory ID of points whose factory neither exists, nor was deleted, nor is being loaded.

    The recursion reads one point per factory instead of all points.
    """
    return tx.find(
        """
        WITH RECURSIVE owners AS (
            (SELECT factory_id FROM points ORDER BY factory_id LIMIT 1)
            UNION ALL
            SELECT (SELECT p.factory_id FROM points p WHERE p.factory_id > o.factory_id ORDER BY p.factory_id LIMIT 1)
            FROM owners o WHERE o.factory_id IS NOT NULL
        )
        SELECT factory_id FROM owners WHERE factory_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM factories WHERE id = factory_id)
          AND NOT EXISTS (SELECT FROM gone_factories WHERE id = factory_id)
          AND NOT EXISTS (SELECT FROM loads l WHERE l.factory_id = owners.factory_id)
        LIMIT 1
        """
    )


def find_point_out_of_bounds(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(
        """
        SELECT factory_id, time FROM points
        WHERE time NOT BETWEEN 0 AND 2::bigint ^ 53 OR abs(actual) > 2::bigint ^ 31 OR abs(goal) > 2::bigint ^ 31
        LIMIT 1
        """
    )


def find_loaded_entry_without_resource(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(
        """
        SELECT collection, id FROM loaded l
        WHERE NOT EXISTS (SELECT FROM factories f WHERE l.collection = 'factories' AND f.id = l.id)
          AND NOT EXISTS (SELECT FROM sprockets s WHERE l.collection = 'sprockets' AND s.id = l.id)
          AND NOT EXISTS (SELECT FROM loads n WHERE l.collection = 'factories' AND n.factory_id = l.id)
        LIMIT 1
        """
    )


def find_id_above_last_id(tx: Transaction) -> dict[str, Any] | None:
    return tx.find(
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


def find_wrong_rollup(tx: Transaction) -> dict[str, Any] | None:
    """Return a roll-up that differs from the points of its quarter hour, or from the roll-ups that it consists of."""
    return tx.find(
        """
        WITH expected AS (
            SELECT e.* FROM (
                SELECT factory_id, array_agg(DISTINCT time / 900 * 900) AS starts FROM points GROUP BY factory_id
            ) AS p, rolled_up_points(p.factory_id, p.starts) AS e
            UNION ALL
            SELECT e.* FROM (
                SELECT factory_id, part_width, w.width,
                       array_agg(DISTINCT start - (start + 259200) %% w.width) AS starts
                FROM rollups r JOIN (VALUES (900, 3600), (3600, 86400), (86400, 604800)) AS w (part_width, width)
                    ON r.width = w.part_width
                GROUP BY factory_id, part_width, w.width
            ) AS p, merged_rollups(p.factory_id, p.part_width, p.width, p.starts) AS e
        )
        SELECT coalesce(e.factory_id, r.factory_id) AS factory_id, coalesce(e.width, r.width) AS width,
               coalesce(e.start, r.start) AS start
        FROM expected e FULL JOIN rollups r
            ON e.factory_id = r.factory_id AND e.width = r.width AND e.start = r.start
        WHERE e IS DISTINCT FROM r
          AND coalesce(e.factory_id, r.factory_id) NOT IN (SELECT factory_id FROM incomplete_rollups)
        LIMIT 1
        """
    )
