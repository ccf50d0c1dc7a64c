"""Orders, which are never changed once they are stored, and their counts."""

from typing import Any, BinaryIO

from chassis.db import Transaction

_COPY = "COPY orders (id, name, email, state, zipcode, birthday, failed) FROM STDIN (FORMAT csv)"


def list_existing_ids(tx: Transaction, ids: str, dry_run_id: str | None) -> list[int]:
    """Return those of `ids`, an array literal, that belong to stored orders or to earlier rows of the dry run.

    OFFSET forces an index lookup for each ID: the planner has no statistics about recently inserted rows, and would
    otherwise scan the whole table.
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


def insert_orders(tx: Transaction, csv: BinaryIO) -> None:
    tx.copy_in(_COPY, csv)


def insert_dry_ids(tx: Transaction, csv: BinaryIO) -> None:
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
