"""Orders: never changed once they are in."""

from typing import Any

from chassis.db import Transaction

_COPY = "COPY orders (id, name, email, state, zipcode, birthday, failed) FROM STDIN (FORMAT csv)"


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


_ANSWER = "id, name, failed = 0 AS valid"
# So many orders are read in the order of their ids without a thought.
_NEAR = 20_000
# Read as they lie, by several processes at once and then sorted, orders cost a third.
_CHEAPER = 3


def list_orders(
    tx: Transaction, limit: int, offset: int, after: int | None, expected: int | None, **wanted: Any
) -> list[dict[str, Any]]:
    """In the order of their ids. `expected` is how many there are of what is wanted, where that is known.

    What is frequent is found near the beginning. What is rare is not looked for in that order: all is read.
    """
    if after == _LARGEST:
        return []
    page = {"limit": limit, "offset": offset, "after": _SMALLEST if after is None else after + 1}
    if not any(value is not None for value in wanted.values()):
        return tx.all(_BY_ID, **page)
    conditions = _conditions(wanted)
    if expected is None:
        near = tx.all(_AMONG_THE_NEXT.format(conditions=conditions), near=_NEAR, **page | wanted | _FROM_THE_FIRST)
        if len(near) >= offset + limit:
            return near[offset : offset + limit]
        is_frequent = len(near) * count_by_state(tx, None, None) > _NEAR * _CHEAPER * (offset + limit)
    else:
        is_frequent = expected > _CHEAPER * (offset + limit)
    statement = _IN_ORDER if is_frequent else _AS_THEY_LIE
    return tx.all(statement.format(conditions=conditions), **page | wanted)


_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_FROM_THE_FIRST = {"limit": 1000, "offset": 0}
# Only the index is read up to the offset.
_BY_ID = f"""
    SELECT {_ANSWER} FROM orders
    WHERE id >= (
        SELECT id FROM orders WHERE id >= %(after)s ORDER BY id LIMIT 1 OFFSET %(offset)s
    )
    ORDER BY id LIMIT %(limit)s
"""
_AMONG_THE_NEXT = f"""
    SELECT {_ANSWER} FROM (
        SELECT * FROM orders WHERE id >= %(after)s ORDER BY id LIMIT %(near)s
    ) AS near WHERE {{conditions}}
    ORDER BY id LIMIT %(limit)s OFFSET %(offset)s
"""
_IN_ORDER = f"""
    SELECT {_ANSWER} FROM orders WHERE id >= %(after)s AND {{conditions}}
    ORDER BY id LIMIT %(limit)s OFFSET %(offset)s
"""
_AS_THEY_LIE = f"""
    WITH few AS MATERIALIZED (SELECT {_ANSWER} FROM orders WHERE id >= %(after)s AND {{conditions}})
    SELECT * FROM few ORDER BY id LIMIT %(limit)s OFFSET %(offset)s
"""


def count_by_state(tx: Transaction, valid: bool | None, state: str | None) -> int:
    """Of those that are in, without counting them."""
    return int(
        tx.value(
            """
            SELECT coalesce(sum(orders), 0) FROM order_counts
            WHERE (%(valid)s IS NULL OR valid = %(valid)s) AND (%(state)s IS NULL OR state = %(state)s)
            """,
            valid=valid,
            state=state,
        )
    )


def count_orders(tx: Transaction, **wanted: Any) -> int:
    return int(tx.value(f"SELECT count(*) FROM orders WHERE {_conditions(wanted)}", **wanted))


_CONDITION = {
    "valid": "(failed = 0) = %(valid)s",
    "state": "state = ANY (%(state)s)",
    "name": "name ILIKE %(name)s",
    "email": "email ILIKE %(email)s",
    "zipcode": "starts_with(zipcode, %(zipcode)s)",
}


def _conditions(wanted: dict[str, Any]) -> str:
    return " AND ".join(_CONDITION[name] for name, value in wanted.items() if value is not None)


def any_case(state: str) -> list[str]:
    """Of two letters the four spellings: comparing is quicker than changing the case of each."""
    return [first + second for first in (state[0], state[0].lower()) for second in (state[1], state[1].lower())]


def containing(part: str) -> str:
    """A pattern of LIKE for what has that text in it, whatever stands in the text."""
    for special in ("\\", "%", "_"):
        part = part.replace(special, "\\" + special)
    return f"%{part}%"
