"""Orders: never changed once they are in."""

from typing import Any

from chassis.db import Transaction

_COPY = "COPY orders (id, name, email, state, zipcode, birthday, failed) FROM STDIN (FORMAT csv)"

# So many characters of a zip code lead to the orders that have it.
BEGINNING = 3


def look_up_by_index(tx: Transaction) -> None:
    """In this transaction: nobody has counted yet what it has just inserted, and the planner would read the whole."""
    tx.run("SET LOCAL enable_seqscan = off")
    tx.run("SET LOCAL enable_bitmapscan = off")


def list_known_ids(tx: Transaction, ids: str, dry_run: str | None) -> list[int]:
    """Which of them orders have; or, for a dry run, it has had itself."""
    rows = tx.rows("SELECT id FROM orders WHERE id = ANY (%(ids)s::bigint[])", ids=ids)
    if dry_run:
        rows += tx.rows(
            "SELECT id FROM dry_ids WHERE import_id = %(import_id)s AND id = ANY (%(ids)s::bigint[])",
            ids=ids,
            import_id=dry_run,
        )
    return [id_ for (id_,) in rows]


def insert_orders(tx: Transaction, csv: Any) -> None:
    tx.copy_in(_COPY, csv)


def insert_dry_ids(tx: Transaction, csv: Any) -> None:
    tx.copy_in("COPY dry_ids (import_id, id) FROM STDIN (FORMAT csv)", csv)


def delete_dry_ids_of_nobody(tx: Transaction, most: int) -> int:
    return tx.run(
        """
        DELETE FROM dry_ids WHERE (import_id, id) IN (
            SELECT import_id, dry_ids.id FROM dry_ids JOIN imports ON imports.id = import_id
            WHERE imports.status NOT IN ('PENDING', 'PROGRESS') LIMIT %(most)s
        )
        """,
        most=most,
    )


def insert_lists(tx: Transaction, by_state: Any, by_zipcode: Any) -> None:
    """Of the ids that were inserted."""
    tx.copy_in("COPY orders_by_state (state, valid, ids) FROM STDIN (FORMAT csv)", by_state)
    tx.copy_in("COPY orders_by_zipcode (beginning, ids) FROM STDIN (FORMAT csv)", by_zipcode)


def insert_counts(tx: Transaction, counts: list[tuple[str, bool, int]]) -> None:
    if counts:
        tx.insert_many("INSERT INTO order_counts (state, valid, orders) VALUES %s", counts)


def sum_up_counts(tx: Transaction, now_and_then: int) -> None:
    """Many small rows become one for each state, once there are more than so many."""
    tx.run(
        """
        WITH gone AS (DELETE FROM order_counts WHERE (SELECT count(*) FROM order_counts) > %(most)s RETURNING *)
        INSERT INTO order_counts (state, valid, orders)
        SELECT state, valid, sum(orders) FROM gone GROUP BY state, valid
        """,
        most=now_and_then,
    )


def find_order(tx: Transaction, order_id: int) -> dict[str, Any] | None:
    return tx.find(
        "SELECT id, name, email, state, zipcode, birthday, failed FROM orders WHERE id = %(id)s", id=order_id
    )
