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
