"""What a sequence is: a range of numbers, and how many of them were handed out."""

import re
from dataclasses import dataclass
from string import Formatter

from chassis.errors import Invalid

BUILT_IN = {
    "sequence": (1000, 9999),
    "batch-sequence": (30000, 39999),
    "image-sequence": (1, 999_999_999),
    "json-sequence": (1, 999_999_999),
}
MOST_AT_ONCE = 10_000
SMALLEST, LARGEST = -(2**63), 2**63 - 1
WIDEST = 32

_FIELD_SPEC = re.compile(r"(?:0?([1-9][0-9]?))?d?\Z", re.ASCII)


def most_at_once(name: str) -> int:
    """Of a sequence of the contract: no number twice in one answer."""
    minimum, maximum = BUILT_IN[name]
    return min(MOST_AT_ONCE, maximum - minimum + 1)


@dataclass(frozen=True)
class Sequence:
    """Tickets are counted from 0 for ever; the number of a ticket repeats once in each cycle."""

    name: str
    minimum: int
    maximum: int
    cycle: bool
    format: str
    issued: int

    @property
    def size(self) -> int:
        return self.maximum - self.minimum + 1

    @property
    def remaining(self) -> int:
        """Until the maximum has been handed out."""
        return self.size - self.issued % self.size if self.cycle else self.size - self.issued

    @property
    def last(self) -> int | None:
        return self.number_at(self.issued - 1) if self.issued else None

    @property
    def next(self) -> int | None:
        return self.number_at(self.issued) if self.remaining else None

    @property
    def cycles(self) -> int:
        """How many have ended."""
        return self.issued // self.size

    def number_at(self, ticket: int) -> int:
        return self.minimum + ticket % self.size

    def numbers_at(self, first: int, count: int) -> list[int]:
        """Contiguous; after the maximum comes the minimum."""
        start = self.number_at(first)
        before_wrap = min(count, self.maximum - start + 1)
        return [*range(start, start + before_wrap), *range(self.minimum, self.minimum + count - before_wrap)]

    def formatted(self, number: int) -> str:
        return self.format.format(number)

    def wraps_in(self, first: int, count: int) -> bool:
        """Whether these tickets hand out the maximum of a range that begins again."""
        return self.cycle and (first + count) // self.size > first // self.size

    def nears_its_end_in(self, first: int, count: int) -> bool:
        """Whether 90 % of a range without a cycle are gone with these tickets, and were not before."""
        return not self.cycle and first * 10 < self.size * 9 <= (first + count) * 10


def check_format(text: str) -> None:
    """Raises Invalid unless exactly one number field stands in it."""
    try:
        fields = [part for part in Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise Invalid.field("format", f"is no format: {error}") from None
    if len(fields) != 1:
        raise Invalid.field("format", "must have exactly one number field, such as {:05d}")
    _, name, spec, conversion = fields[0]
    match = _FIELD_SPEC.match(spec or "")
    if name or conversion or not match or int(match[1] or 0) > WIDEST:
        raise Invalid.field("format", f"the field must be {{}}, {{:d}} or {{:05d}}, its width at most {WIDEST}")
