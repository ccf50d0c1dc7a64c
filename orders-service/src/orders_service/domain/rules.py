"""The rules of shipping, as data: what fails, what is said of it, where it comes from."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

EMAIL = r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$"
ZIPCODE_LENGTHS = (5, 9)


@dataclass(frozen=True)
class Rule:
    """`message` is looked up in the catalogues of translations, and may name what the finding is `about`.

    `bit` stands for the rule in the table of orders.
    """

    name: str
    bit: int
    invalid_when: str
    message: str
    source: str
    about: Literal["state", "age"] | None = None


# In the order in which those that fail are listed. A bit is never given to another rule.
RULES = (
    Rule(
        "allowed_state",
        1,
        "the state is one of those that we do not ship to",
        "We don't ship to %(about)s",
        "Acme's licences: where wine may not be shipped to consumers",
        about="state",
    ),
    Rule(
        "email_pattern",
        2,
        f"the address is not {EMAIL}",
        "incorrect email pattern",
        "Acme's mail: what its newsletter can be sent to",
    ),
    Rule(
        "zipcode_sum",
        4,
        "the sum of the zip code's digits is too large",
        "Your zipcode sum is too large",
        "Acme's carrier: its zones",
    ),
    Rule(
        "zipcode_length",
        8,
        "the zip code has neither 5 nor 9 digits, other characters not counted",
        "incorrect zipcode length",
        "US Postal Service: ZIP and ZIP+4",
    ),
    Rule(
        "email_state",
        16,
        "the state is NY and the address ends in .net",
        "users from NY can't have .net email address",
        "Acme's sales: the campaign in New York",
    ),
    Rule(
        "allowed_age",
        32,
        "younger than the age of drinking on the day of the upload",
        "you must be at least %(about)s years old for ordering alcoholic drinks",
        "National Minimum Drinking Age Act of 1984",
        about="age",
    ),
)
RULE = {rule.name: rule for rule in RULES}

# Why a row is no order at all, or no new one.
REJECTIONS = {
    "duplicate": "an order with this id is there already",
    "fields": "not as many fields as the header has columns",
    "too_long": "the row is longer than 1 MiB",
    "nul": "the character U+0000 is not allowed",
    "encoding": "bytes that are no UTF-8",
    "id": "id must be a whole number of 64 bits",
    "birthday": "birthday must be a date between 1900 and today",
}


@dataclass(frozen=True)
class Policy:
    """What can be set: which rules count, and their limits."""

    off: frozenset[str] = frozenset()
    refused_states: tuple[str, ...] = ("NJ", "CT", "PA", "MA", "IL", "ID", "OR")
    largest_zipcode_sum: int = 20
    smallest_age: int = 21

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in RULES if rule.name not in self.off)


def failed_rules(bits: int) -> Iterable[Rule]:
    return (rule for rule in RULES if bits & rule.bit)


def latest_birthday(today: date, age: int) -> date:
    """Of those who are that old on this day; who was born on February 29 has to wait for March 1."""
    try:
        return today.replace(year=today.year - age)
    except ValueError:
        return date(today.year - age, 2, 28)
