"""Invariants of the service, recomputed from its tables."""

from chassis.web.health import Invariant, no_row


def _no_row(sql: str) -> Invariant:
    return no_row(lambda tx: tx.find(sql))


INVARIANTS: dict[str, Invariant] = {
    "a finished import has counted each row once": _no_row(
        """
        SELECT id::text AS import, total, valid + invalid + duplicates + rejected AS counted FROM imports
        WHERE status = 'SUCCESS' AND total <> valid + invalid + duplicates + rejected
           OR least(valid, invalid, duplicates, rejected, total) < 0
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
    "the stored orders are those that the imports counted": _no_row(
        """
        SELECT valid, imported, stored FROM (
            SELECT true AS valid, coalesce(sum(valid), 0) AS imported FROM imports WHERE NOT dry_run
            UNION ALL SELECT false, coalesce(sum(invalid), 0) FROM imports WHERE NOT dry_run
        ) AS by_imports LEFT JOIN (
            SELECT valid, sum(orders) AS stored FROM order_counts GROUP BY valid
        ) AS by_counts USING (valid)
        WHERE imported <> coalesce(stored, 0)
        LIMIT 1
        """
    ),
    # Only this check reads all orders; the others rely on these counts.
    "the counts by state equal those of the orders": _no_row(
        """
        SELECT * FROM (
            SELECT CASE WHEN state ~ '^[A-Za-z]{2}$' THEN upper(state) ELSE '' END AS state, valid, sum(n) AS stored
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
