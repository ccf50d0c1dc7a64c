"""Orders, their counts, and the IDs that an import has already seen."""

from typing import Any, BinaryIO

from chassis.db import Transaction

MIN_ID, MAX_ID = -(2**63), 2**63 - 1

_COPY = "COPY orders (id, name, email, state, zipcode, birthday, failed, import_number) FROM STDIN (FORMAT csv)"
# As in `order_counts`: two capital letters; other states, which cannot be queried, share one row.
COUNTED_STATE = "CASE WHEN state ~ '^[A-Za-z]{2}$' THEN upper(state) ELSE '' END"

# The number of orders of a state, in capital letters, and a validity; negative if they are deleted.
StateCount = tuple[str, bool, int]


def lock_changes(tx: Transaction, *, is_exclusive: bool) -> None:
    """Wait until no other transaction changes orders; if not exclusive, others that only insert may continue.

    Transactions that change several orders would otherwise wait for each other in different orders.
    """
    mode = "" if is_exclusive else "_shared"
    tx.value(
        f"SELECT pg_advisory_xact_lock{mode}(hashtextextended(current_schema() || %(name)s, 0))", name="\x03orders"
    )


def list_existing_ids(tx: Transaction, ids: str) -> list[int]:
    """Return those of `ids`, an array literal, that belong to stored orders.

    OFFSET forces an index lookup for each ID: the planner has no statistics about recently inserted rows, and would
    otherwise scan the whole table.
    """
    rows = tx.rows(
        """
        SELECT id FROM unnest(%(ids)s::bigint[]) AS new (id)
        WHERE EXISTS (SELECT FROM orders WHERE orders.id = new.id OFFSET 0)
        """,
        ids=ids,
    )
    return [id_ for (id_,) in rows]


def insert_orders(tx: Transaction, csv: BinaryIO) -> None:
    tx.copy_in(_COPY, csv)


def delete_replaced(tx: Transaction, ids: str) -> list[tuple[int, int | None, str, bool]]:
    """Delete the orders with these IDs, an array literal; return ID, import number, counted state and validity of each.

    The caller inserts them again and holds the exclusive lock on changes. Each row is looked up in the index, as in
    `list_existing_ids`.
    """
    return tx.rows(
        f"""
        DELETE FROM orders WHERE ctid = ANY (ARRAY(
            SELECT stored.ctid FROM unnest(%(ids)s::bigint[]) AS replaced (id),
                   LATERAL (SELECT ctid FROM orders WHERE orders.id = replaced.id OFFSET 0) AS stored
        ))
        RETURNING id, import_number, {COUNTED_STATE}, failed = 0
        """,
        ids=ids,
    )


def list_seen_ids(tx: Transaction, import_id: str, ids: str) -> list[int]:
    """Return those of `ids`, an array literal, that earlier rows of the import have."""
    rows = tx.rows(
        """
        SELECT id FROM unnest(%(ids)s::bigint[]) AS new (id)
        WHERE EXISTS (SELECT FROM dry_ids WHERE import_id = %(import_id)s AND dry_ids.id = new.id OFFSET 0)
        """,
        ids=ids,
        import_id=import_id,
    )
    return [id_ for (id_,) in rows]


def insert_seen_ids(tx: Transaction, csv: BinaryIO) -> None:
    tx.copy_in("COPY dry_ids (import_id, id) FROM STDIN (FORMAT csv)", csv)


def delete_orphaned_seen_ids(tx: Transaction, max_rows: int) -> int:
    return tx.run(
        """
        DELETE FROM dry_ids WHERE (import_id, id) IN (
            SELECT import_id, dry_ids.id FROM dry_ids JOIN imports ON imports.id = import_id
            WHERE imports.status NOT IN ('PENDING', 'PROGRESS') LIMIT %(max_rows)s
        )
        """,
        max_rows=max_rows,
    )


def insert_counts(tx: Transaction, counts: list[StateCount]) -> None:
    if counts:
        tx.insert_many("INSERT INTO order_counts (state, valid, orders) VALUES %s", counts)


def merge_counts(tx: Transaction, max_rows: int) -> None:
    """Merge the counts into one row per state and validity if there are more than `max_rows` rows."""
    tx.run(
        """
        WITH deleted AS (DELETE FROM order_counts WHERE (SELECT count(*) FROM order_counts) > %(max_rows)s RETURNING *)
        INSERT INTO order_counts (state, valid, orders)
        SELECT state, valid, sum(orders) FROM deleted GROUP BY state, valid
        """,
        max_rows=max_rows,
    )


def find_order(tx: Transaction, order_id: int) -> dict[str, Any] | None:
    return tx.find(
        "SELECT id, name, email, state, zipcode, birthday, failed FROM orders WHERE id = %(id)s", id=order_id
    )


def find_range_end(tx: Transaction, first_id: int, last_id: int, max_orders: int) -> int | None:
    """Return the ID of the order that is the `max_orders`-th from `first_id`, or the last one up to `last_id`.

    None if there is no order in the range.
    """
    end: int | None = tx.value(
        """
        SELECT max(id) FROM (
            SELECT id FROM orders WHERE id >= %(first_id)s AND id <= %(last_id)s ORDER BY id LIMIT %(max_orders)s
        ) AS first_orders
        """,
        first_id=first_id,
        last_id=last_id,
        max_orders=max_orders,
    )
    return end


def delete_created(tx: Transaction, import_number: int, first_id: int, last_id: int) -> list[StateCount]:
    """Delete the orders in the range that the import created, and return how many there were of each state."""
    return tx.rows(
        f"""
        WITH deleted AS (
            DELETE FROM orders
            WHERE id >= %(first_id)s AND id <= %(last_id)s AND import_number = %(import_number)s
            RETURNING state, failed
        )
        SELECT {COUNTED_STATE}, failed = 0, -count(*) FROM deleted GROUP BY 1, 2
        """,
        import_number=import_number,
        first_id=first_id,
        last_id=last_id,
    )


def delete_order(tx: Transaction, order_id: int) -> StateCount | None:
    """Delete the order, and return what its counts change by; None if it does not exist."""
    rows = tx.rows(
        f"""
        WITH deleted AS (DELETE FROM orders WHERE id = %(id)s RETURNING state, failed, import_number),
        counted AS (
            INSERT INTO order_deletions (import_number, orders) SELECT coalesce(import_number, 0), 1 FROM deleted
            ON CONFLICT ON CONSTRAINT order_deletions_pkey DO UPDATE SET orders = order_deletions.orders + 1
        )
        SELECT {COUNTED_STATE}, failed = 0, -1 FROM deleted
        """,
        id=order_id,
    )
    return rows[0] if rows else None
