"""Invariants of the service, recomputed from its tables."""

from chassis.web.health import Invariant, no_row
from orders_service.store.orders import COUNTED_STATE


def _no_row(sql: str) -> Invariant:
    return no_row(lambda tx: tx.find(sql))


INVARIANTS: dict[str, Invariant] = {
    "a finished import has counted each row once": _no_row(
        """
        SELECT id::text AS import, total, valid + invalid + duplicates + rejected AS counted FROM imports
        WHERE status = 'SUCCESS' AND total <> valid + invalid + duplicates + rejected
           OR least(valid, invalid, updated, duplicates, rejected, total, valid + invalid - updated) < 0
        LIMIT 1
        """
    ),
    "an import in progress has all remaining chunks of its file": _no_row(
        """
        SELECT id::text AS import, blocks - next_block AS expected, count(chunks.number) AS stored
        FROM imports LEFT JOIN upload_chunks AS chunks ON upload_id = id AND chunks.number >= next_block
        WHERE status IN ('PENDING', 'PROGRESS') GROUP BY id HAVING count(chunks.number) <> blocks - next_block
        LIMIT 1
        """
    ),
    "the stored orders are those that the imports created and that were not deleted": _no_row(
        """
        SELECT created, deleted, stored
        FROM (SELECT coalesce(sum(valid + invalid - updated), 0) AS created, coalesce(sum(undo_deleted), 0) AS undone
              FROM imports WHERE NOT dry_run) AS by_imports,
             LATERAL (SELECT undone + coalesce(sum(orders), 0) AS deleted FROM order_deletions) AS by_deletions,
             (SELECT coalesce(sum(orders), 0) AS stored FROM order_counts) AS by_counts
        WHERE created - deleted <> stored
        """
    ),
    # linear
    "each import still has the orders that it created, unless they were deleted": _no_row(
        """
        SELECT number AS import, expected, stored FROM (
            SELECT number, created - undo_deleted - coalesce(orders, 0) AS expected, undo_status
            FROM imports LEFT JOIN order_deletions ON import_number = number
        ) AS by_imports FULL JOIN (
            SELECT import_number AS number, count(*) AS stored FROM orders WHERE import_number IS NOT NULL GROUP BY 1
        ) AS by_orders USING (number)
        WHERE (expected = coalesce(stored, 0)) IS NOT TRUE OR (undo_status = 'SUCCESS' AND stored > 0)
        LIMIT 1
        """
    ),
    # linear
    "the counts by state equal those of the orders": _no_row(
        f"""
        SELECT * FROM (
            SELECT {COUNTED_STATE} AS state, valid, sum(n) AS stored
            FROM (SELECT state, failed = 0 AS valid, count(*) AS n FROM orders GROUP BY 1, 2) AS by_spelling
            GROUP BY 1, 2
        ) AS by_orders FULL JOIN (
            SELECT state, valid, sum(orders) AS counted FROM order_counts GROUP BY 1, 2
        ) AS by_counts USING (state, valid)
        WHERE coalesce(stored, 0) <> coalesce(counted, 0)
        LIMIT 1
        """
    ),
}
