"""Blank rows, which have no cell with a value: they are dropped, and the other rows keep their numbers in reports."""

from collections.abc import Iterator
from typing import Any

from specstore_service.operations.omitted_rows import OmittedRows

_MAX_GROUPS = 1_000_000
_MAX_LISTED_NUMBERS = 10

Rows = list[list[Any]]


def is_blank(row: list[Any]) -> bool:
    return not any(cell not in (None, "") for cell in row)


class BlankRows:
    """Drops the blank rows of a table.

    Positions count the rows that are kept, and numbers all rows of the table, both from 1.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.first_numbers = list[int]()
        self._kept = 0
        self._omitted = OmittedRows(_MAX_GROUPS, f"has more than {_MAX_GROUPS} groups of blank rows")

    @property
    def count(self) -> int:
        return self._omitted.count

    def number_at(self, position: int) -> int:
        return self._omitted.number_at(position)

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
        number = self._kept + self.count + 1
        self._omitted.omit(number)
        if len(self.first_numbers) < _MAX_LISTED_NUMBERS:
            self.first_numbers.append(number)
        return True
