"""Numbers of rows of which some are omitted."""

from array import array
from bisect import bisect

from specstore_service.operations.limits import Unreadable


class OmittedRows:
    """Converts positions, which count the rows that are kept, to numbers, which count all rows, both from 1.

    Memory is used for each group of consecutive omitted rows only. A conversion takes logarithmic time.
    """

    def __init__(self, max_groups: int, message: str) -> None:
        self._max_groups, self._message = max_groups, message
        # For each group: the position of the next kept row, and the number of omitted rows up to the end of the group.
        self._positions, self._totals = array("Q"), array("Q")

    @property
    def count(self) -> int:
        return self._totals[-1] if self._totals else 0

    def number_at(self, position: int) -> int:
        return position + self._total_before(bisect(self._positions, position))

    def omit(self, number: int) -> None:
        """Omit a row, possibly after a few that follow it. Raise Unreadable if there are too many groups."""
        index = len(self._positions)
        while index and self._positions[index - 1] + self._total_before(index - 1) > number:
            index -= 1
            self._positions[index] -= 1
            self._totals[index] += 1
        self._insert(index, number)

    def _insert(self, index: int, number: int) -> None:
        position = number - self._total_before(index)
        if index and self._positions[index - 1] == position:
            self._totals[index - 1] += 1
            return
        if len(self._positions) == self._max_groups:
            raise Unreadable(self._message)
        self._positions.insert(index, position)
        self._totals.insert(index, self._total_before(index) + 1)

    def _total_before(self, index: int) -> int:
        return self._totals[index - 1] if index else 0
