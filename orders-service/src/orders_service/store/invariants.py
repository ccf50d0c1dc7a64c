"""Invariants of the service, recomputed from its tables."""

from typing import Any

from chassis import strictjson
from chassis.db import Transaction
from chassis.db.invariants import Invariant, Step, Stepwise, no_row, sweep


def _no_row(sql: str) -> Invariant:
    return no_row(lambda tx: tx.find(sql))


def _verify_counts(tx: Transaction, mark: Any, limit: int) -> Step:
    """Count the orders in the next blocks of the table; after the last block, compare the sums with the stored counts.

    Orders that are written during the count may be missing or counted twice. A difference is therefore confirmed by a
    statement that reads all orders in one snapshot.
    """
    start = mark or {"block": 0, "sums": []}
    end_block = start["block"] + max(1, limit // _MIN_ORDERS_PER_BLOCK)
    page = tx.one(_COUNT_BLOCKS, block=start["block"], end_block=end_block, sums=strictjson.dumps(start["sums"]))
    if not page["is_last"]:
        return Step(None, {"block": end_block, "sums": page["sums"]}, is_done=False)
    violation = page["difference"]
    if violation and mark:
        violation = tx.one(_COUNT_BLOCKS, block=0, end_block=_MAX_BLOCK, sums="[]")["difference"]
    return Step(violation, None, is_done=True)


_MIN_ORDERS_PER_BLOCK, _MAX_BLOCK = 50, 2**32 - 1
_COUNT_BLOCKS = """
    WITH by_spelling AS (
        SELECT state, failed = 0 AS valid, count(*) AS stored FROM orders
        WHERE ctid >= format('(%%s,0)', %(block)s)::tid AND ctid < format('(%%s,0)', %(end_block)s)::tid GROUP BY 1, 2
    ), by_orders AS (
        SELECT state, valid, sum(stored)::bigint AS stored FROM (
            SELECT CASE WHEN state ~ '^[A-Za-z]{2}$' THEN upper(state) ELSE '' END AS state, valid, stored
            FROM by_spelling
            UNION ALL
            SELECT state, valid, stored
            FROM json_to_recordset(%(sums)s) AS earlier (state text, valid boolean, stored bigint)
        ) AS all_counts GROUP BY 1, 2
    )
    SELECT pg_relation_size('orders') <= %(end_block)s * current_setting('block_size')::bigint AS is_last,
           (SELECT coalesce(json_agg(by_orders), '[]') FROM by_orders) AS sums,
           (SELECT row_to_json(difference)::text FROM (
               SELECT state, valid, coalesce(stored, 0) AS stored, coalesce(counted, 0) AS counted
               FROM by_orders FULL JOIN (
                   SELECT state, valid, sum(orders)::bigint AS counted FROM order_counts GROUP BY 1, 2
               ) AS by_counts USING (state, valid)
               WHERE coalesce(stored, 0) <> coalesce(counted, 0) LIMIT 1
           ) AS difference) AS difference
"""


INVARIANTS: dict[str, Invariant | Stepwise] = {
    "a finished import has counted each row once": sweep(
        "SELECT number, id::text AS import, status, total, valid, invalid, duplicates, rejected FROM imports",
        key=["number"],
        start=[0],
        find="""
        SELECT import, total, valid + invalid + duplicates + rejected AS counted FROM page
        WHERE status = 'SUCCESS' AND total <> valid + invalid + duplicates + rejected
           OR least(valid, invalid, duplicates, rejected, total) < 0
        """,
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
    # Only this check reads the orders; the others rely on these counts.
    "the counts by state equal those of the orders": Stepwise(_verify_counts, pause_seconds=3600),
}
