"""Invariants of the service, recomputed from its tables."""

from collections.abc import Callable
from typing import Any

from chassis import strictjson
from chassis.db import Row, Transaction
from chassis.db.invariants import Invariant, Step, Stepwise, no_row, sweep
from orders_service.store.orders import COUNTED_STATE


def _no_row(sql: str) -> Invariant:
    return no_row(lambda tx: tx.find(sql))


def _verify_counts(tx: Transaction, mark: Any, limit: int) -> Step:
    """Count the orders in the next blocks of the table; after the last block, compare the sums with the stored counts.

    Orders that are changed during the count may be missing or counted twice, so that a difference must be confirmed.
    """
    start = mark or {"block": 0, "sums": []}
    end_block = _end_block(start["block"], limit)
    page = tx.one(_COUNT_BLOCKS, block=start["block"], end_block=end_block, sums=strictjson.dumps(start["sums"]))
    if not page["is_last"]:
        return _next_step(start, page, "sums", end_block)
    return _last_step(start, page, end_block, lambda: _check_counts(tx))


def _check_counts(tx: Transaction) -> str | None:
    difference: str | None = tx.one(_COUNT_BLOCKS, block=0, end_block=_MAX_BLOCK, sums="[]")["difference"]
    return difference


def _end_block(block: int, limit: int) -> int:
    return int(block + max(1, limit // _MIN_ORDERS_PER_BLOCK))


def _next_step(start: Row, page: Row, sums: str, end_block: int) -> Step:
    changes = start.get("changes") if start["block"] else page["changes"]
    return Step(None, {"block": end_block, sums: page[sums], "changes": changes}, is_done=False)


def _last_step(start: Row, page: Row, end_block: int, confirm: Callable[[], str | None]) -> Step:
    """Return the result after the last block; `confirm` finds the violation in one snapshot.

    In a large table this would take too long. A difference then is a violation only if no order was changed since the
    first step; otherwise a later verification decides.
    """
    violation = page["difference"]
    if violation and end_block <= _MAX_CONFIRMED_BLOCKS:
        violation = confirm()
    elif page["changes"] != start.get("changes"):
        violation = None
    return Step(violation, None, is_done=True)


# A gigabyte, which is read in a few seconds.
_MIN_ORDERS_PER_BLOCK, _MAX_CONFIRMED_BLOCKS, _MAX_BLOCK = 50, 2**17, 2**32 - 1
_IN_BLOCKS = "ctid >= format('(%%s,0)', %(block)s)::tid AND ctid < format('(%%s,0)', %(end_block)s)::tid"
_IS_LAST = "pg_relation_size('orders') <= %(end_block)s * current_setting('block_size')::bigint"
# A number that increases with each change of orders, read by the first and the last step.
_CHANGES = f"""
    CASE WHEN %(block)s = 0 OR {_IS_LAST} THEN
        (SELECT coalesce(sum(valid + invalid + undo_deleted), 0) FROM imports)::bigint
        + (SELECT coalesce(sum(orders), 0) FROM order_deletions)::bigint
    END AS changes
"""
_COUNT_BLOCKS = f"""
    WITH by_spelling AS (
        SELECT state, failed = 0 AS valid, count(*) AS stored FROM orders WHERE {_IN_BLOCKS} GROUP BY 1, 2
    ), by_orders AS (
        SELECT state, valid, sum(stored)::bigint AS stored FROM (
            SELECT {COUNTED_STATE} AS state, valid, stored FROM by_spelling
            UNION ALL
            SELECT state, valid, stored
            FROM json_to_recordset(%(sums)s) AS earlier (state text, valid boolean, stored bigint)
        ) AS all_counts GROUP BY 1, 2
    )
    SELECT {_IS_LAST} AS is_last, {_CHANGES},
           (SELECT coalesce(json_agg(by_orders), '[]') FROM by_orders) AS sums,
           (SELECT row_to_json(difference)::text FROM (
               SELECT state, valid, coalesce(stored, 0) AS stored, coalesce(counted, 0) AS counted
               FROM by_orders FULL JOIN (
                   SELECT state, valid, sum(orders)::bigint AS counted FROM order_counts GROUP BY 1, 2
               ) AS by_counts USING (state, valid)
               WHERE coalesce(stored, 0) <> coalesce(counted, 0) LIMIT 1
           ) AS difference) AS difference
"""


def _verify_creations(tx: Transaction, mark: Any, limit: int) -> Step:
    """Add up hashes of the orders' import numbers, block by block; at the end, compare with the sum that is expected.

    There may be too many imports to count the orders of each between steps. A difference must be confirmed, as in
    `_verify_counts`.
    """
    start = mark or {"block": 0, "sum": "0"}
    end_block = _end_block(start["block"], limit)
    page = tx.one(_ADD_UP_BLOCKS, block=start["block"], end_block=end_block, sum=start["sum"])
    if not page["is_last"]:
        return _next_step(start, page, "sum", end_block)
    return _last_step(start, page, end_block, lambda: _check_creations(tx))


_EXPECTED = """
    SELECT number, created - undo_deleted - coalesce(orders, 0) AS expected, undo_status
    FROM imports LEFT JOIN order_deletions ON import_number = number
"""
_ADD_UP_BLOCKS = f"""
    WITH total AS (
        SELECT %(sum)s::numeric + coalesce(sum(hashint8extended(import_number, 0)), 0) AS sum
        FROM orders WHERE {_IN_BLOCKS}
    ), expected AS (
        SELECT coalesce(sum(expected * hashint8extended(number, 0)::numeric), 0) AS sum,
               coalesce(bool_or(expected <> 0 AND undo_status = 'SUCCESS'), false) AS has_undone_orders
        FROM ({_EXPECTED}) AS by_imports WHERE expected <> 0
    )
    SELECT {_IS_LAST} AS is_last, {_CHANGES}, total.sum::text AS sum,
           CASE WHEN {_IS_LAST} THEN (
               SELECT row_to_json(expected)::text FROM expected WHERE total.sum <> expected.sum OR has_undone_orders
           ) END AS difference
    FROM total
"""
_check_creations = _no_row(
    f"""
    SELECT number AS import, expected, stored FROM ({_EXPECTED}) AS by_imports FULL JOIN (
        SELECT import_number AS number, count(*) AS stored FROM orders WHERE import_number IS NOT NULL GROUP BY 1
    ) AS by_orders USING (number)
    WHERE (expected = coalesce(stored, 0)) IS NOT TRUE OR (undo_status = 'SUCCESS' AND stored > 0)
    LIMIT 1
    """
)

INVARIANTS: dict[str, Invariant | Stepwise] = {
    "a finished import has counted each row once": sweep(
        "SELECT number, id::text AS import, status, total, valid, invalid, updated, duplicates, rejected FROM imports",
        key=["number"],
        start=[0],
        find="""
        SELECT import, total, valid + invalid + duplicates + rejected AS counted FROM page
        WHERE status = 'SUCCESS' AND total <> valid + invalid + duplicates + rejected
           OR least(valid, invalid, updated, duplicates, rejected, total, valid + invalid - updated) < 0
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
    # Only these two read the orders; the others rely on the counts.
    "each import still has the orders that it created, unless they were deleted": Stepwise(
        _verify_creations, pause_seconds=3600
    ),
    "the counts by state equal those of the orders": Stepwise(_verify_counts, pause_seconds=3600),
}
