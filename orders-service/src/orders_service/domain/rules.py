"""The validation rules, as data: their conditions, messages and sources."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

EMAIL = r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$"
ZIPCODE_LENGTHS = (5, 9)


@dataclass(frozen=True)
class Rule:
    """A validation rule.

    `message` is a key of the translation catalogs, and contains the value of `parameter` if the rule has one. `bit`
    represents the rule in the table of orders.
    """

    name: str
    bit: int
    invalid_when: str
    message: str
    source: str
    parameter: Literal["state", "age"] | None = None


# Violated rules are listed in this order. The bit of a removed rule must not be reused.
RULES = (
    Rule(
        "allowed_state",
        1,
        "the state is one that Acme does not ship to, or not one of the USA",
        "We don't ship to %(state)s",
        "Acme's licenses: states where wine may not be shipped to consumers",
        parameter="state",
    ),
    Rule(
        "email_pattern",
        2,
        f"the address does not match {EMAIL}",
        "incorrect email pattern",
        "Acme's mail: addresses that its newsletter can be sent to",
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
        "the zip code does not have 5 or 9 digits, other characters ignored",
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
        "the customer is younger than the drinking age on the day of the upload",
        "you must be at least %(age)s years old for ordering alcoholic drinks",
        "National Minimum Drinking Age Act of 1984",
        parameter="age",
    ),
)
RULES_BY_NAME = {rule.name: rule for rule in RULES}

# The message of `allowed_state` for a row without a state.
NO_STATE_MESSAGE = "state must be the code or the name of a US state"

# The limit of each text of an order, so that a page of orders has a bounded size.
MAX_TEXT_LENGTH = 1000

# Messages by the reason why a row cannot be an order, or is not a new one.
REASON_MESSAGES = {
    "duplicate": "an order with this id already exists",
    "fields": "the row must have as many fields as the header has columns",
    "too_long": "the row must be shorter than 1 MiB",
    "nul": "the row must not contain the character U+0000",
    "encoding": "the row must be valid text in the encoding of the file",
    "id": "id must be an integer between -2^63 and 2^63 - 1",
    "length": "name, email, state and zipcode must have at most 1000 characters each",
    "birthday": "birthday must be a date between 1900 and today",
}


@dataclass(frozen=True)
class Policy:
    """The configurable part of the rules: which of them are disabled, and their limits."""

    disabled_rules: frozenset[str] = frozenset()
    excluded_states: tuple[str, ...] = ("NJ", "CT", "PA", "MA", "IL", "ID", "OR")
    max_zipcode_sum: int = 20
    min_age: int = 21

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in RULES if rule.name not in self.disabled_rules)


def failed_rules(bits: int) -> Iterable[Rule]:
    return (rule for rule in RULES if bits & rule.bit)


def latest_birthday(today: date, age: int) -> date:
    """Return the latest date of birth of people who are at least `age` years old today.

    In a common year, people who were born on February 29 reach their age on March 1.
    """
    try:
        return today.replace(year=today.year - age)
    except ValueError:
        return date(today.year - age, 2, 28)
