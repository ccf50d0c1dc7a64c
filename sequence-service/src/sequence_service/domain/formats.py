"""Formats of numbers: a text with a field for the number, and fields for the period of a sequence that restarts."""

import re
from string import Formatter

from chassis.errors import Invalid

MAX_FORMAT_WIDTH = 32

_NUMBER_SPEC = re.compile(r"(?:0([1-9][0-9]?)d?|d?)\Z", re.ASCII)
# All digits of a field are always written. So only the number varies in length, and two different pairs of a period and
# a number never have the same formatted number.
_PERIOD_FIELDS = {
    "year": ("{year}", {"", "d", "04d"}),
    "month": ("{month:02d}", {"02d"}),
    "day": ("{day:02d}", {"02d"}),
}
_PERIOD_FIELDS_BY_RESET = {None: (), "year": ("year",), "month": ("year", "month"), "day": ("year", "month", "day")}


def check_format(text: str, reset: str | None = None) -> None:
    """Raise Invalid unless the text has exactly one number field and the fields of the periods."""
    try:
        fields = [part for part in Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise _invalid(f"must be a valid format string: {error}") from None
    number_specs = [spec or "" for _, name, spec, conversion in fields if not name and not conversion]
    period_fields = [(name or "", spec or "") for _, name, spec, conversion in fields if name and not conversion]
    if len(number_specs) != 1 or any(conversion for *_, conversion in fields):
        raise _invalid("must have exactly one number field, such as {:05d}")
    match = _NUMBER_SPEC.match(number_specs[0])
    if not match or int(match[1] or 0) > MAX_FORMAT_WIDTH:
        raise _invalid(
            f"must write its number field as {{}}, {{:d}} or {{:05d}}, with a width of at most {MAX_FORMAT_WIDTH}"
        )
    _check_period_fields(period_fields, reset)


def _check_period_fields(fields: list[tuple[str, str]], reset: str | None) -> None:
    required = _PERIOD_FIELDS_BY_RESET[reset]
    expected = " and ".join(_PERIOD_FIELDS[name][0] for name in required)
    if {name for name, _ in fields} != set(required):
        if reset is None:
            raise _invalid("must have no field except that of the number, because reset is not set")
        raise _invalid(f"must contain {expected} and no other field of a date, because reset is {reset}")
    if any(spec not in _PERIOD_FIELDS[name][1] for name, spec in fields):
        raise _invalid(f"must write the fields of the date as {expected}")


def _invalid(message: str) -> Invalid:
    return Invalid.field("format", message)
