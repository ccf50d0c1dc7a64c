"""Filtered lists of orders, and their counts."""

from dataclasses import asdict, dataclass
from typing import Any

from chassis.db import Transaction


@dataclass(frozen=True)
class OrderFilter:
    """Conditions: `state` is two capital letters, `name` and `email` are substrings, `zipcode` is a prefix."""

    valid: bool | None = None
    state: str | None = None
    name: str | None = None
    email: str | None = None
    zipcode: str | None = None

    @property
    def has_text_conditions(self) -> bool:
        return any((self.name, self.email, self.zipcode))

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "spellings": self.state and _spellings(self.state),
            "name": self.name and _substring_pattern(self.name),
            "email": self.email and _substring_pattern(self.email),
        }


def _spellings(state: str) -> list[str]:
    """Return the four spellings of two letters: Postgres has statistics for the column, but not for `upper(state)`."""
    return [first + second for first in (state[0], state[0].lower()) for second in (state[1], state[1].lower())]


def _substring_pattern(text: str) -> str:
    """Return a LIKE pattern that matches values which contain the text literally."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, "\\" + special)
    return f"%{text}%"


# The planner sees the parameters as constants, so that conditions without a value cost nothing.
_MATCHES = """
    (%(valid)s IS NULL OR (failed = 0) = %(valid)s)
    AND (%(state)s IS NULL OR state = ANY (%(spellings)s::text[]))
    AND (%(name)s IS NULL OR name ILIKE %(name)s)
    AND (%(email)s IS NULL OR email ILIKE %(email)s)
    AND (%(zipcode)s IS NULL OR starts_with(zipcode, %(zipcode)s))
"""


def list_orders(
    tx: Transaction, order_filter: OrderFilter, limit: int, offset: int, after: int | None
) -> list[dict[str, Any]]:
    """Return a page of the matching orders, ordered by ID.

    The inner query skips to the offset. Without a filter, it reads only the index.
    """
    return tx.all(
        f"""
        SELECT id, name, failed = 0 AS valid FROM orders
        WHERE id IN (
            SELECT id FROM orders WHERE (%(after)s IS NULL OR id > %(after)s) AND {_MATCHES}
            ORDER BY id LIMIT %(limit)s OFFSET %(offset)s
        )
        ORDER BY id
        """,
        **order_filter.parameters,
        after=after,
        limit=limit,
        offset=offset,
    )


def find_rows_end(tx: Transaction, first_id: int, max_orders: int, max_bytes: int) -> int | None:
    """Return the last ID of a range from `first_id` with at most `max_orders` orders, None if there are none.

    The texts of all orders but the last one are shorter than `max_bytes`; Postgres does not read long ones for this.
    """
    end: int | None = tx.value(
        """
        SELECT max(id) FROM (
            SELECT id, sum(octet_length(name) + octet_length(email) + octet_length(state) + octet_length(zipcode))
                       OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
            FROM (SELECT * FROM orders WHERE id >= %(first_id)s ORDER BY id LIMIT %(max_orders)s) AS first_orders
        ) AS lengths WHERE coalesce(bytes_before, 0) < %(max_bytes)s
        """,
        first_id=first_id,
        max_orders=max_orders,
        max_bytes=max_bytes,
    )
    return end


def list_rows(tx: Transaction, order_filter: OrderFilter, first_id: int, last_id: int) -> list[dict[str, Any]]:
    """Return all columns of the matching orders in the range, ordered by ID."""
    return tx.all(
        f"""
        SELECT id, name, email, state, zipcode, birthday, failed FROM orders
        WHERE id >= %(first_id)s AND id <= %(last_id)s AND {_MATCHES} ORDER BY id
        """,
        **order_filter.parameters,
        first_id=first_id,
        last_id=last_id,
    )


def count_orders(tx: Transaction, order_filter: OrderFilter) -> int:
    """Count the matching orders; without text conditions, sum up the counts that imports maintain."""
    if order_filter.has_text_conditions:
        sql = f"SELECT count(*) FROM orders WHERE {_MATCHES}"
    else:
        sql = """
            SELECT coalesce(sum(orders), 0) FROM order_counts
            WHERE (%(valid)s IS NULL OR valid = %(valid)s) AND (%(state)s IS NULL OR state = %(state)s)
        """
    return int(tx.value(sql, **order_filter.parameters))
