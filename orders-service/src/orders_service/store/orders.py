"""Orders: never changed once they are in."""

from typing import Any

from chassis.db import Transaction

_COPY = "COPY orders (id, name, email, state, zipcode, birthday, failed) FROM STDIN (FORMAT csv)"


def list_existing_ids(tx: Transaction, ids: str, dry_run_id: str | None) -> list[int]:
    """Return which of the IDs orders have, or the dry run of that ID has had itself.

    OFFSET keeps the planner, which has no statistics of rows inserted a moment ago, from reading the whole table
    instead of looking up each ID in the index.
    """
    rows = tx.rows(
        """
        SELECT id FROM unnest(%(ids)s::bigint[]) AS new (id)
        WHERE EXISTS (SELECT FROM orders WHERE orders.id = new.id OFFSET 0)
           OR EXISTS (SELECT FROM dry_ids WHERE import_id = %(dry_run_id)s AND dry_ids.id = new.id OFFSET 0)
        """,
        ids=ids,
        dry_run_id=dry_run_id,
    )
    return [id_ for (id_,) in rows]


def insert_orders(tx: Transaction, csv: Any) -> None:
    tx.copy_in(_COPY, csv)


def insert_dry_ids(tx: Transaction, csv: Any) -> None:
    tx.copy_in("COPY dry_ids (import_id, id) FROM STDIN (FORMAT csv)", csv)


def delete_orphaned_dry_ids(tx: Transaction, max_rows: int) -> int:
    return tx.run(
        """
        DELETE FROM dry_ids WHERE (import_id, id) IN (
            SELECT import_id, dry_ids.id FROM dry_ids JOIN imports ON imports.id = import_id
            WHERE imports.status NOT IN ('PENDING', 'PROGRESS') LIMIT %(max_rows)s
        )
        """,
        max_rows=max_rows,
    )


def insert_counts(tx: Transaction, counts: list[tuple[str, bool, int]]) -> None:
    if counts:
        tx.insert_many("INSERT INTO order_counts (state, valid, orders) VALUES %s", counts)


def sum_up_counts(tx: Transaction, max_rows: int) -> None:
    """Replace the counts by one row for each state and validity, once there are more than that many rows."""
    tx.run(
        """
        WITH gone AS (DELETE FROM order_counts WHERE (SELECT count(*) FROM order_counts) > %(max_rows)s RETURNING *)
        INSERT INTO order_counts (state, valid, orders)
        SELECT state, valid, sum(orders) FROM gone GROUP BY state, valid
        """,
        max_rows=max_rows,
    )


def find_order(tx: Transaction, order_id: int) -> dict[str, Any] | None:
    return tx.find(
        "SELECT id, name, email, state, zipcode, birthday, failed FROM orders WHERE id = %(id)s", id=order_id
    )
