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


class Step(NamedTuple):
    """The result of verifying some items; `is_done` is true if none are left."""

    violation: str | None
    # The JSON value with which the next step continues; None to start again.
    mark: Any
    is_done: bool
    # The number of items that are left, if it is known.
    remaining: int | None = None
    # Stores which items were verified, beyond the mark; a request never calls it.
    save: Callable[[Transaction], object] = lambda _tx: None


@dataclass(frozen=True)
class Stepwise:
    """An invariant that is verified in steps: `step` receives the last mark and the maximum number of items."""

    step: Callable[[Transaction, Any, int], Step]
    # How long the worker waits at least after the last item.
    pause_seconds: float


def no_row(find: Callable[[Transaction], Row | None]) -> Invariant:
    """Return an invariant that holds if `find` returns no row; otherwise the row is the detail."""

    def check(tx: Transaction) -> str | None:
        row = find(tx)
        return strictjson.dumps({name: str(value) for name, value in row.items()}) if row else None

    return check


def ranges(name: str, units: str, find: str, weight: int = 1) -> Stepwise:
    """Return an invariant of items that are numbered and do not change, such as the events of each stream.

    `units` is a query for (unit, first, last, settled): the numbers of the first and the last item that must exist, and
    the last number that needs no further verification. `find` returns a violating row for the rows of `ranges` (unit,
    first, last, after, upto), each of which stands for the items of a unit with after < number <= upto. It joins them
    with LATERAL and OFFSET 0: the planner has no statistics of the ranges, and might read the whole table instead.

    The worker verifies each item once: a change of it after that is detected by full runs only. An item of weight 10
    takes as long as ten others. Marks are stored as `name`.
    """
    sql = _RANGES.format(units=units, find=find)

    def step(tx: Transaction, mark: Any, limit: int) -> Step:
        max_items = max(1, limit // weight)
        max_units = max(1, max_items // _ITEMS_PER_UNIT)
        after_unit = -1 if mark is None else mark
        row = tx.one(sql, name=name, after_unit=after_unit, max_units=max_units, max_items=max_items)
        remaining, last_unit, marks = int(row["remaining"]), row["last_unit"], row["marks"]
        # With items left, the next step begins at the same unit.
        return Step(
            violation=row["violation"],
            mark=mark if remaining else last_unit,
            is_done=not remaining and last_unit is None,
            remaining=remaining if last_unit is None else None,
            save=lambda tx: tx.run(_SAVE_RANGES, name=name, marks=marks),
        )

    return Stepwise(step, pause_seconds=30)


# A unit takes as long as this number of items.
_ITEMS_PER_UNIT = 4
# A unit whose last number is below its mark has lost items: it is selected too, with an upto that is less than after.
# So is a unit without a mark that has no items: `find` may detect those that it should not have.
_RANGES = """
    WITH page AS MATERIALIZED (
        SELECT * FROM ({units}) AS units WHERE unit > %(after_unit)s ORDER BY unit LIMIT %(max_units)s
    ), unverified AS (
        SELECT unit, first, last, settled, greatest(verified, first - 1) AS after,
               greatest(last - greatest(verified, first - 1), 0) AS size
        FROM page
        LEFT JOIN (
            SELECT unit, verified FROM invariant_ranges
            WHERE name = %(name)s AND unit > %(after_unit)s AND unit <= (SELECT max(unit) FROM page)
        ) AS marks USING (unit)
        WHERE last <> greatest(verified, first - 1) OR verified IS NULL
    ), numbered AS (
        SELECT *, sum(size) OVER (ORDER BY unit) - size AS preceding FROM unverified
    ), ranges AS MATERIALIZED (
        SELECT unit, first, after, least(last, after + %(max_items)s - preceding)::bigint AS upto, last, settled
        FROM numbered WHERE preceding <= %(max_items)s
    )
    SELECT (SELECT row_to_json(violation)::text FROM ({find} LIMIT 1) AS violation) AS violation,
           (SELECT coalesce(sum(size), 0) FROM unverified) - coalesce(sum(greatest(upto - after, 0)), 0) AS remaining,
           (SELECT max(unit) FROM page HAVING count(*) = %(max_units)s) AS last_unit,
           coalesce(json_object_agg(unit, least(upto, settled)), '{{}}')::text AS marks
    FROM ranges
"""
_SAVE_RANGES = """
    INSERT INTO invariant_ranges (name, unit, verified)
    SELECT %(name)s, key::bigint, value::bigint FROM json_each_text(%(marks)s)
    ON CONFLICT ON CONSTRAINT invariant_ranges_pkey DO UPDATE SET verified = excluded.verified
"""


def sweep(
    rows: str, key: Sequence[str], start: Sequence[Any], find: str, pause_seconds: float = 3600, weight: int = 1
) -> Stepwise:
    """Return an invariant of rows that may change: all are verified in the order of `key`, and again after the pause.

    `rows` is a query that has the columns of `key`, on which there must be an index, and `start` is less than each of
    their values. `find` returns a violating row from `page`, which is a part of these rows. A row of weight 10 takes as
    long as ten others.
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

    def step(tx: Transaction, mark: Any, limit: int) -> Step:
        max_rows = max(1, limit // weight)
        row = tx.one(sql, after=tuple(start if mark is None else mark), limit=max_rows)
        is_done = row["count"] < max_rows
        return Step(row["violation"], None if is_done else row["mark"], is_done)

    return Stepwise(step, pause_seconds)
