"""A sequence: a range of numbers and a count of those that were issued."""

import re
from dataclasses import dataclass
from string import Formatter

from chassis.errors import Invalid

BUILT_IN_RANGES = {
    "sequence": (1000, 9999),
    "batch-sequence": (30000, 39999),
    "image-sequence": (1, 999_999_999),
    "json-sequence": (1, 999_999_999),
}
MAX_PER_REQUEST = 10_000
MIN_BOUND, MAX_BOUND = -(2**63), 2**63 - 1
MAX_FORMAT_WIDTH = 32

_FIELD_SPEC = re.compile(r"(?:0?([1-9][0-9]?))?d?\Z", re.ASCII)


def max_per_request(built_in_name: str) -> int:
    """Return the maximum of the parameter `n`: at most the size of the range, so that no response repeats a number."""
    minimum, maximum = BUILT_IN_RANGES[built_in_name]
    return min(MAX_PER_REQUEST, maximum - minimum + 1)


@dataclass(frozen=True)
class Sequence:
    """A named counter over an inclusive range.

    Each issue of a number has a ticket. Tickets count from 0 and never restart, whereas numbers repeat in every cycle.
    """

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

    def number_at(self, ticket: int) -> int:
        return self.minimum + ticket % self.size

    def numbers_at(self, first_ticket: int, count: int) -> list[int]:
        """Return the numbers of `count` contiguous tickets; after the maximum they wrap around to the minimum."""
        start = self.number_at(first_ticket)
        count_before_wrap = min(count, self.maximum - start + 1)
        count_after_wrap = count - count_before_wrap
        return [*range(start, start + count_before_wrap), *range(self.minimum, self.minimum + count_after_wrap)]

    def format_number(self, number: int) -> str:
        return self.format.format(number)

    def completes_cycle(self, first_ticket: int, count: int) -> bool:
        """Return whether these tickets include the maximum of a cyclic sequence."""
        return self.cycle and (first_ticket + count) // self.size > first_ticket // self.size

    def becomes_nearly_exhausted(self, first_ticket: int, count: int) -> bool:
        """Return whether these tickets raise the issued share of a non-cyclic range to 90 % or more."""
        return not self.cycle and first_ticket * 10 < self.size * 9 <= (first_ticket + count) * 10


def check_format(text: str) -> None:
    """Raise Invalid unless the text has exactly one number field."""
    try:
        fields = [part for part in Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise Invalid.field("format", f"must be a valid format string: {error}") from None
    if len(fields) != 1:
        raise Invalid.field("format", "must have exactly one number field, such as {:05d}")
    _, name, spec, conversion = fields[0]
    match = _FIELD_SPEC.match(spec or "")
    if name or conversion or not match or int(match[1] or 0) > MAX_FORMAT_WIDTH:
        raise Invalid.field(
            "format",
            f"must write its number field as {{}}, {{:d}} or {{:05d}}, with a width of at most {MAX_FORMAT_WIDTH}",
        )
