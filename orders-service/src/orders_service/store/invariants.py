"""What must hold, recomputed from the tables."""

from collections.abc import Callable
from typing import Any

from chassis import strictjson
from chassis.db import Transaction
from chassis.web.health import Invariant


def _none(sql: str) -> Invariant:
    def check(tx: Transaction) -> str | None:
        row = tx.find(sql)
        return strictjson.dumps(row) if row else None

    return check


INVARIANTS: dict[str, Callable[[Transaction], Any]] = {
    "a finished import has told the fate of each row": _none(
        """
        SELECT id::text AS import, total, valid + invalid + duplicates + rejected AS told FROM imports
        WHERE status = 'SUCCESS' AND total <> valid + invalid + duplicates + rejected
           OR least(valid, invalid, duplicates, rejected, total) < 0
        LIMIT 1
        """
    ),
    "an import that goes on has all that is left of its file": _none(
        """
        SELECT id::text AS import, blocks - next_block AS wanted, count(blocks.number) AS there
        FROM imports LEFT JOIN blocks ON import_id = id AND blocks.number >= next_block
        WHERE status IN ('PENDING', 'PROGRESS') GROUP BY id HAVING count(blocks.number) <> blocks - next_block
        LIMIT 1
        """
    ),
    "the orders are those that imports stored": _none(
        """
        SELECT valid, told, stored FROM (
            SELECT true AS valid, coalesce(sum(valid), 0) AS told FROM imports WHERE NOT dry_run
            UNION ALL SELECT false, coalesce(sum(invalid), 0) FROM imports WHERE NOT dry_run
        ) AS said LEFT JOIN (
            SELECT valid, sum(orders) AS stored FROM order_counts GROUP BY valid
        ) AS there USING (valid)
        WHERE told <> coalesce(stored, 0)
        LIMIT 1
        """
    ),
    # All orders are read here, and nowhere else: the other checks rest on these counts.
    "the counts of states are those of the orders": _none(
        """
        SELECT * FROM (
            SELECT CASE WHEN state ~ '^[A-Za-z]{2}$' THEN upper(state) ELSE '' END AS state, valid, sum(n) AS there
            FROM (SELECT state, failed = 0 AS valid, count(*) AS n FROM orders GROUP BY 1, 2) AS spelled GROUP BY 1, 2
        ) AS counted FULL JOIN (
            SELECT state, valid, sum(orders) AS told FROM order_counts GROUP BY 1, 2
        ) AS said USING (state, valid)
        WHERE coalesce(there, 0) <> coalesce(told, 0)
        LIMIT 1
        """
    ),
    "each order is listed by its state and by its zip code": _none(
        """
        SELECT * FROM (
            SELECT state, valid, sum(cardinality(ids)) AS listed FROM orders_by_state GROUP BY 1, 2
        ) AS there FULL JOIN (
            SELECT state, valid, sum(orders) AS told FROM order_counts GROUP BY 1, 2
        ) AS said USING (state, valid)
        WHERE coalesce(listed, 0) <> coalesce(told, 0)
        UNION ALL
        SELECT 'all zip codes', NULL, listed, told FROM
            (SELECT coalesce(sum(cardinality(ids)), 0) AS listed FROM orders_by_zipcode) AS there,
            (SELECT coalesce(sum(orders), 0) AS told FROM order_counts) AS said
        WHERE listed <> told
        LIMIT 1
        """
    ),
}
