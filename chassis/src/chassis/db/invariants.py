"""Invariants: conditions that must hold in the tables, and the ways to verify them.

An invariant whose cost does not grow with the data is a function, called for each request. Any other is `Stepwise`: the
worker verifies a limited number of items at a time and stores how far it is. Each step reads in one statement and
therefore in one snapshot, so that changes by concurrent transactions are never reported as a violation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chassis import strictjson
from chassis.db.transaction import Row, Transaction

# Returns None if the invariant holds, otherwise a detail that describes the violation.
Invariant = Callable[[Transaction], str | None]


class Cursor(NamedTuple):
    """Where a step begins: the JSON value `mark` of the step before it, None at the start."""

    run: str
    name: str
    mark: Any


class Step(NamedTuple):
    """The result of verifying some items."""

    violation: str | None
    mark: Any
    # True if no items are left after these.
    is_done: bool
    # The number of items that are left, if it is known.
    remaining: int | None = None
    # (unit, last verified number) of the ranges that were verified.
    ranges: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class Stepwise:
    """An invariant that is verified in steps of a limited number of items."""

    step: Callable[[Transaction, Cursor, int], Step]
    # How long the worker waits before it continues after the last item.
    pause_seconds: float


def no_row(find: Callable[[Transaction], Row | None]) -> Invariant:
    """Return an invariant that holds if `find` returns no row; otherwise the row is the detail."""

    def check(tx: Transaction) -> str | None:
        row = find(tx)
        return strictjson.dumps({name: str(value) for name, value in row.items()}) if row else None

    return check


def ranges(units: str, find: str, weight: int = 1) -> Stepwise:
    """Return an invariant of items that are numbered and do not change, such as the events of each stream.

    `units` is a query for (unit, first, last, settled): the numbers of the first and the last item that must exist, and
    the last number that needs no further verification. `find` returns a violating row for the rows of `ranges` (unit,
    first, last, after, upto), each of which stands for the items of a unit with after < number <= upto.

    The worker verifies each item once: a change of it after that is detected by full runs only. An item of weight 10
    takes as long as ten others.
    """
    sql = _RANGES.format(units=units, find=find)

    def step(tx: Transaction, cursor: Cursor, limit: int) -> Step:
        row = tx.one(sql, run=cursor.run, name=cursor.name, limit=max(1, limit // weight))
        remaining = int(row["remaining"])
        return Step(
            row["violation"], None, remaining == 0, remaining, list(zip(row["units"], row["marks"], strict=True))
        )

    return Stepwise(step, pause_seconds=10)


# A unit whose last number is below its mark has lost items: it is selected too, with an upto that is less than after.
_RANGES = """
    WITH unverified AS (
        SELECT unit, first, last, settled, greatest(verified, first - 1) AS after,
               last - greatest(verified, first - 1) AS size
        FROM ({units}) AS units
        LEFT JOIN (
            SELECT unit, verified FROM invariant_ranges WHERE run = %(run)s AND name = %(name)s
        ) AS marks USING (unit)
        WHERE last <> greatest(verified, first - 1)
    ), numbered AS (
        SELECT *, sum(greatest(size, 0)) OVER (ORDER BY unit) - greatest(size, 0) AS preceding FROM unverified
    ), ranges AS MATERIALIZED (
        SELECT unit, first, after, least(last, after + %(limit)s - preceding)::bigint AS upto, last, settled
        FROM numbered WHERE preceding < %(limit)s ORDER BY unit LIMIT %(limit)s
    )
    SELECT (SELECT row_to_json(violation)::text FROM ({find} LIMIT 1) AS violation) AS violation,
           (SELECT coalesce(sum(greatest(size, 0)), 0) FROM unverified)
           - coalesce(sum(greatest(upto - after, 0)), 0) AS remaining,
           coalesce(array_agg(unit), '{{}}') AS units,
           coalesce(array_agg(least(upto, settled)), '{{}}') AS marks
    FROM ranges
"""


def sweep(rows: str, key: Sequence[str], start: Sequence[Any], find: str, pause_seconds: float = 3600) -> Stepwise:
    """Return an invariant of rows that may change: all are verified in the order of `key`, and again after the pause.

    `rows` is a query that has the columns of `key`, on which there must be an index, and `start` is less than each of
    their values. `find` returns a violating row from `page`, which is a part of these rows.
    """
    columns = ", ".join(key)
    sql = f"""
        WITH page AS MATERIALIZED (
            SELECT * FROM ({rows}) AS keyed WHERE ({columns}) > %(after)s ORDER BY {columns} LIMIT %(limit)s
        )
        SELECT (SELECT row_to_json(violation)::text FROM ({find} LIMIT 1) AS violation) AS violation,
               (SELECT json_build_array({columns}) FROM page ORDER BY ({columns}) DESC LIMIT 1) AS mark,
               (SELECT count(*) FROM page) AS count
    """

    def step(tx: Transaction, cursor: Cursor, limit: int) -> Step:
        row = tx.one(sql, after=tuple(start if cursor.mark is None else cursor.mark), limit=limit)
        is_done = row["count"] < limit
        return Step(row["violation"], None if is_done else row["mark"], is_done)

    return Stepwise(step, pause_seconds)
