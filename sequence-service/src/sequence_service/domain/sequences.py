"""A sequence: a range of numbers and a count of those that were issued."""

from dataclasses import dataclass, replace
from datetime import datetime

from chassis.errors import Conflict, Invalid
from chassis.timestamps import load_timezone

BUILT_IN_RANGES = {
    "sequence": (1000, 9999),
    "batch-sequence": (30000, 39999),
    "image-sequence": (1, 999_999_999),
    "json-sequence": (1, 999_999_999),
}
MAX_PER_REQUEST = 10_000
MIN_BOUND, MAX_BOUND = -(2**63), 2**63 - 1
# The times at which a sequence can restart, and how the periods between them are named; the names sort by time.
PERIOD_NAMES = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}


def max_per_request(built_in_name: str) -> int:
    """Return the maximum of the parameter `n`: at most the size of the range, so that no response repeats a number."""
    minimum, maximum = BUILT_IN_RANGES[built_in_name]
    return min(MAX_PER_REQUEST, maximum - minimum + 1)


@dataclass(frozen=True)
class Sequence:
    """A named counter over an inclusive range.

    Each issue of a number has a ticket. Tickets count from 0 in each period and never restart within it, whereas
    numbers repeat in every cycle. A sequence without `reset` has one period, whose name is None.
    """

    name: str
    minimum: int
    maximum: int
    cycle: bool = False
    format: str = "{}"
    reset: str | None = None
    timezone: str = "UTC"
    audit: bool = False
    issued: int = 0
    period: str | None = None

    @property
    def size(self) -> int:
        return self.maximum - self.minimum + 1

    @property
    def remaining(self) -> int:
        """The count of numbers that are left in the range, or, of a cyclic sequence, in the current cycle."""
        return self.size - self.issued % self.size if self.cycle else self.size - self.issued

    @property
    def last(self) -> int | None:
        return self.number_at(self.issued - 1) if self.issued else None

    @property
    def next(self) -> int | None:
        return self.number_at(self.issued) if self.remaining else None

    @property
    def cycles(self) -> int:
        """The number of completed cycles."""
        return self.issued // self.size

    def at(self, now: datetime) -> "Sequence":
        """Return the sequence as it is at that time: a new period has begun if its name is greater than the current.

        A clock that steps back therefore does not reopen a period.
        """
        if self.reset is None:
            return self
        period = now.astimezone(load_timezone(self.timezone)).strftime(PERIOD_NAMES[self.reset])
        return self if self.period is not None and self.period >= period else replace(self, period=period, issued=0)

    def number_at(self, ticket: int) -> int:
        return self.minimum + ticket % self.size

    def numbers_at(self, first_ticket: int, count: int) -> list[int]:
        """Return the numbers of `count` contiguous tickets; after the maximum they wrap around to the minimum."""
        return [number for first, last in self.ranges_at(first_ticket, count) for number in range(first, last + 1)]

    def ranges_at(self, first_ticket: int, count: int) -> list[tuple[int, int]]:
        """Return the first and the last number of each contiguous range; there are two if the numbers wrap around."""
        start = self.number_at(first_ticket)
        count_before_wrap = min(count, self.maximum - start + 1)
        ranges = [(start, start + count_before_wrap - 1)] if count else []
        if count > count_before_wrap:
            ranges.append((self.minimum, self.minimum + count - count_before_wrap - 1))
        return ranges

    def format_number(self, number: int) -> str:
        """Return the number in the sequence's format, with the year, month and day of its period."""
        names = ("year", "month", "day")
        parts = dict(zip(names, map(int, (self.period or "").split("-")), strict=False)) if self.period else {}
        return self.format.format(number, **parts)

    def completes_cycle(self, first_ticket: int, count: int) -> bool:
        """Return whether these tickets include the maximum of a cyclic sequence."""
        return self.cycle and (first_ticket + count) // self.size > first_ticket // self.size

    def becomes_nearly_exhausted(self, first_ticket: int, count: int) -> bool:
        """Return whether these tickets raise the issued share of a non-cyclic range to 90 % or more."""
        return not self.cycle and first_ticket * 10 < self.size * 9 <= (first_ticket + count) * 10

    def extend_to(self, maximum: int) -> "Sequence":
        """Return the sequence with a greater maximum; raise Conflict if it is less than the current one.

        A cyclic sequence continues its current cycle. After the end of a cycle it continues above the old maximum.
        """
        if maximum < self.maximum:
            raise Conflict(f"maximum must be at least {self.maximum}, the current maximum")
        extended = replace(self, maximum=maximum)
        if not self.issued:
            return extended
        completed_cycles, position = divmod(self.issued - 1, self.size)
        return replace(extended, issued=completed_cycles * extended.size + position + 1)

    def skip(self, count: int) -> "Sequence":
        """Return the sequence without its next `count` numbers, or without all that are left of a non-cyclic range."""
        return replace(self, issued=self.issued + (count if self.cycle else min(count, self.remaining)))

    def skip_to(self, number: int) -> "Sequence":
        """Return the sequence whose next number is `number`; raise Conflict if it was passed in the current cycle."""
        if not self.minimum <= number <= self.maximum:
            raise Invalid.field("next", f"must be between {self.minimum} and {self.maximum}, the range of the sequence")
        if self.next is None or number < self.next:
            available = "which has no numbers left" if self.next is None else f"whose next number is {self.next}"
            raise Conflict(f"next must not be a number that was passed by the sequence {self.name}, {available}")
        return replace(self, issued=self.issued + number - self.next)
