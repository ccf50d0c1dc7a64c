"""Questions about orders: pages in the order of their ids, and how many there are."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from chassis.db import Transaction
from orders_service.store.orders import BEGINNING, look_up_by_index


@dataclass(frozen=True)
class Wanted:
    """`state` is two capital letters; `name` and `email` are parts, `zipcode` is a beginning."""

    valid: bool | None = None
    state: str | None = None
    name: str | None = None
    email: str | None = None
    zipcode: str | None = None

    @property
    def has_texts(self) -> bool:
        return any((self.name, self.email, self.zipcode))

    @property
    def conditions(self) -> str:
        given = (sql for name, sql in _CONDITION.items() if getattr(self, name) is not None)
        return " AND ".join(given) or "true"

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "spellings": _any_case(self.state or ""),
            "name": _containing(self.name or ""),
            "email": _containing(self.email or ""),
            "beginning": (self.zipcode or "")[:BEGINNING],
        }


_CONDITION = {
    "valid": "(failed = 0) = %(valid)s",
    "state": "state = ANY (%(spellings)s)",
    "name": "name ILIKE %(name)s",
    "email": "email ILIKE %(email)s",
    "zipcode": "starts_with(zipcode, %(zipcode)s)",
}


def _any_case(state: str) -> list[str]:
    """Of two letters the four spellings: comparing is quicker than changing the case of each."""
    return [first + second for first in (state[:1], state[:1].lower()) for second in (state[1:], state[1:].lower())]


def _containing(part: str) -> str:
    """A pattern of LIKE for what has that text in it, whatever stands in the text."""
    for special in ("\\", "%", "_"):
        part = part.replace(special, "\\" + special)
    return f"%{part}%"


_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
# So many orders are read in the order of their ids without a thought.
_NEAR = 20_000
# Read in the order of their ids, or one by one, orders cost so many times what they cost as they lie, at the most.
_DEARER = 10
# Fewer among the next tell nothing.
_TELLING = 10


def list_orders(tx: Transaction, wanted: Wanted, limit: int, offset: int, after: int | None) -> list[dict[str, Any]]:
    """What is frequent is found among the next, what is rare by the lists; where there are none, all is read."""
    if after == _LARGEST:
        return []
    first = _SMALLEST if after is None else after + 1
    given = wanted.parameters | {"after": first, "limit": limit, "offset": offset}
    total = count_by_state(tx, None, None)
    if wanted == Wanted():
        return tx.all(_FROM_THE_END if after is None and 2 * offset > total else _BY_ID, **given)
    near = tx.all(_AMONG_THE_NEXT.format(what=_ANSWER, conditions=wanted.conditions) + _PAGE, near=_NEAR, **given)
    if len(near) == limit:
        return near
    frequency = tx.value(_AMONG_THE_NEXT.format(what="count(*)", conditions=wanted.conditions), near=_NEAR, **given)
    is_frequent = frequency >= _TELLING and frequency * total // _NEAR > _DEARER * (offset + limit)
    lists, listed = _lists_for(tx, wanted)
    are_few = listed * _DEARER < total
    if is_frequent and not are_few:
        return tx.all(_IN_ORDER.format(conditions=wanted.conditions), **given)
    if are_few or (lists and not wanted.has_texts):
        look_up_by_index(tx)
        return tx.all(_listed(wanted, lists), **given)
    return tx.all(_AS_THEY_LIE.format(conditions=wanted.conditions), **given)


def _listed(wanted: Wanted, lists: str) -> str:
    """What the lists say alone is read a page of; of what they say with other conditions, all."""
    inner, outer = ("", _PAGE) if wanted.has_texts else (_PAGE, "ORDER BY id")
    return _LISTED.format(lists=lists, conditions=wanted.conditions, inner=inner, outer=outer)


def _lists_for(tx: Transaction, wanted: Wanted) -> tuple[str, float]:
    """And how many orders these lists name: all of them where there are none."""
    if wanted.zipcode is not None:
        listed = tx.value(f"SELECT coalesce(sum(cardinality(ids)), 0) FROM {_BY_ZIPCODE}", **wanted.parameters)
        return _BY_ZIPCODE, int(listed)
    if wanted.valid is not None or wanted.state is not None:
        return _BY_STATE, count_by_state(tx, wanted.valid, wanted.state)
    return "", math.inf


def count_orders(tx: Transaction, wanted: Wanted) -> int:
    if not wanted.has_texts:
        return count_by_state(tx, wanted.valid, wanted.state)
    lists, listed = _lists_for(tx, wanted)
    among = ""
    if listed * _DEARER < count_by_state(tx, None, None):
        look_up_by_index(tx)
        among = f"id = ANY (ARRAY(SELECT unnest(ids) FROM {lists})) AND "
    return int(tx.value(f"SELECT count(*) FROM orders WHERE {among}{wanted.conditions}", **wanted.parameters))


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


_ANSWER = "id, name, failed = 0 AS valid"
_PAGE = "ORDER BY id LIMIT %(limit)s OFFSET %(offset)s"
# Only the index is read up to the offset.
_BY_ID = f"""
    SELECT {_ANSWER} FROM orders
    WHERE id >= (
        SELECT id FROM orders WHERE id >= %(after)s ORDER BY id LIMIT 1 OFFSET %(offset)s
    )
    ORDER BY id LIMIT %(limit)s
"""
_FROM_THE_END = f"""
    WITH there AS (SELECT coalesce(sum(orders), 0)::bigint AS orders FROM order_counts)
    SELECT {_ANSWER} FROM orders
    WHERE id >= (
        SELECT id FROM orders ORDER BY id DESC LIMIT 1
        OFFSET (SELECT greatest(orders - 1 - %(offset)s, 0) FROM there)
    ) AND %(offset)s < (SELECT orders FROM there)
    ORDER BY id LIMIT %(limit)s
"""
_AMONG_THE_NEXT = """
    SELECT {what} FROM (
        SELECT * FROM orders WHERE id >= %(after)s ORDER BY id LIMIT %(near)s
    ) AS near WHERE {conditions}
"""
_IN_ORDER = f"SELECT {_ANSWER} FROM orders WHERE id >= %(after)s AND {{conditions}} {_PAGE}"
_AS_THEY_LIE = f"""
    WITH few AS MATERIALIZED (SELECT {_ANSWER} FROM orders WHERE id >= %(after)s AND {{conditions}})
    SELECT * FROM few {_PAGE}
"""
_LISTED = f"""
    SELECT {_ANSWER} FROM orders
    WHERE id = ANY (ARRAY(
        SELECT id FROM (SELECT unnest(ids) AS id FROM {{lists}}) AS listed WHERE id >= %(after)s {{inner}}
    )) AND {{conditions}}
    {{outer}}
"""
_BY_STATE = """
    orders_by_state WHERE (%(state)s IS NULL OR state = %(state)s) AND (%(valid)s IS NULL OR valid = %(valid)s)
"""
_BY_ZIPCODE = "orders_by_zipcode WHERE starts_with(beginning, %(beginning)s)"
