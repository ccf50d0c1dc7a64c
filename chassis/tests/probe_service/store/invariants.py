"""Invariants of the probe service, of each kind."""

from chassis.db import Transaction
from chassis.db.invariants import ranges, sweep


def _effects_have_names(tx: Transaction) -> str | None:
    count = tx.value("SELECT count(*) FROM effects WHERE name = 'nameless'")
    return f"{count} effects have no name" if count else None


INVARIANTS = {
    "effects_have_names": _effects_have_names,
    "items_are_numbered": ranges(
        "items",
        "SELECT id AS unit, 1 AS first, last, last AS settled FROM units",
        """
        SELECT unit, after, upto FROM ranges CROSS JOIN LATERAL (
            SELECT count(*) FROM items WHERE items.unit = ranges.unit AND number > after AND number <= upto
        ) AS stored
        WHERE stored.count <> upto - after
           OR EXISTS (SELECT FROM items WHERE items.unit = ranges.unit AND number > last)
        """,
    ),
    "sizes_are_positive": sweep(
        "SELECT unit, number, size FROM items",
        key=["unit", "number"],
        start=[0, 0],
        find="SELECT unit, number FROM page WHERE size < 0",
    ),
}
