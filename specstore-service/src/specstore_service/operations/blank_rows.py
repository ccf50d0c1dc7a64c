"""Blank rows, which have no cell with a value: they are dropped, and the other rows keep their numbers in reports."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from specstore_service.operations.limits import Unreadable

_MAX_GROUPS = 1_000_000
_MAX_LISTED_NUMBERS = 10

Rows = list[list[Any]]


def is_blank(row: list[Any]) -> bool:
    return not any(cell not in (None, "") for cell in row)


class BlankRows:
    """Drops the blank rows of a table. Memory is used for each group of consecutive blank rows only.

    Positions count the rows that are kept, and numbers all rows of the table, both from 1.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.first_numbers = list[int]()
        self._kept = 0
        # For each group: the number of kept rows before it, and the number of blank rows up to its end.
        self._positions, self._totals = array("Q"), array("Q")

    @property
    def count(self) -> int:
        return self._totals[-1] if self._totals else 0

    def number_at(self, position: int) -> int:
        group = bisect_right(self._positions, position - 1)
        return position + (self._totals[group - 1] if group else 0)

    def drop(self, batches: Iterator[Rows]) -> Iterator[Rows]:
        """Yield the batches without their blank rows, and without batches that are empty then. Raise Unreadable."""
        self._begin()
        for batch in batches:
            # Most batches have a cell with a true value in each row.
            kept = batch if all(map(any, batch)) else [row for row in batch if not self._drop_if_blank(row)]
            if kept is batch:
                self._kept += len(batch)
            if kept:
                yield kept

    def _drop_if_blank(self, row: list[Any]) -> bool:
        if not is_blank(row):
            self._kept += 1
            return False
        if not self._positions or self._positions[-1] != self._kept:
            if len(self._positions) == _MAX_GROUPS:
                raise Unreadable(f"has more than {_MAX_GROUPS} groups of blank rows")
            self._positions.append(self._kept)
            self._totals.append(self.count)
        self._totals[-1] += 1
        if len(self.first_numbers) < _MAX_LISTED_NUMBERS:
            self.first_numbers.append(self._kept + self.count)
        return True
