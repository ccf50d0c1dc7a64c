"""Times and time zones in requests, with the same rules on every machine and with every version of Python."""

import functools
import re
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

_TZDATA = resources.files("tzdata")
# The names are not those of the system's files, which differ from machine to machine. `Factory` names no zone.
_TIMEZONES = frozenset(_TZDATA.joinpath("zones").read_text("utf-8").split()) - {"Factory"}

_HOUR, _MINUTE, _SECOND, _FRACTION = r"(?:[01]\d|2[0-3])", r"[0-5]\d", r"([0-5]\d|60)", r"\d{1,30}"
_TIME = rf"{_HOUR}:?{_MINUTE}(?::?{_SECOND}(?:[.,]{_FRACTION})?)?"
_OFFSET = rf"(?:[Zz]|[+-]{_HOUR}(?::?{_MINUTE})?)"
ISO_8601_PATTERN = rf"^\d{{4}}-?\d\d-?\d\d[Tt ]{_TIME}{_OFFSET}?$"
_RFC_3339_PATTERN = (
    rf"^\d{{4}}-\d\d-\d\d[Tt ]{_HOUR}:{_MINUTE}:{_SECOND}(?:\.{_FRACTION})?(?:[Zz]|[+-]{_HOUR}:{_MINUTE})$"
)
# All offsets from UTC that are in use are multiples of this.
_OFFSET_MINUTES = 15


def _compile(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of JSON Schema, in which `$` does not match before a final line break, and \\d is ASCII."""
    return re.compile(pattern.removesuffix("$") + r"\Z", re.ASCII)


_MATCH_ISO_8601, _MATCH_RFC_3339 = _compile(ISO_8601_PATTERN).match, _compile(_RFC_3339_PATTERN).match


def parse_iso_8601(text: str) -> datetime:
    """Return the time, which has no time zone if `text` has no offset; raise ValueError if it is invalid."""
    time = _parse(text, _MATCH_ISO_8601(text))
    if time is None:
        raise ValueError("must be YYYY-MM-DD HH:MM:SS or another ISO 8601 date and time")
    return time


def parse_rfc_3339(text: Any) -> datetime:
    """Return the time in UTC; raise ValueError if `text` is not a time of RFC 3339, which requires an offset."""
    time = _parse(text, _MATCH_RFC_3339(text)) if isinstance(text, str) else None
    if time is None:
        raise ValueError("must be an RFC 3339 time, such as 2026-11-21T12:00:00Z")
    return time.astimezone(UTC)


def _parse(text: str, match: re.Match[str] | None) -> datetime | None:
    """Return None if the text is invalid. A leap second, which datetime cannot represent, becomes the next second."""
    if match is None:
        return None
    is_leap_second = match[1] == "60"
    if is_leap_second:
        text = f"{text[: match.start(1)]}59{text[match.end(1) :]}"
    try:
        time = datetime.fromisoformat(text.upper())
        if time.tzinfo is not None:
            # Raises OverflowError in the first or the last hours that datetime can represent.
            time.astimezone(UTC)
        return _after_leap_second(time) if is_leap_second else time
    except (ValueError, OverflowError):
        return None


def _after_leap_second(time: datetime) -> datetime | None:
    """Return the second after `time`, or None if it cannot be followed by a leap second, which is 23:59:60 UTC."""
    next_second = time + timedelta(seconds=1)
    if time.tzinfo is None:
        return next_second if next_second.minute % _OFFSET_MINUTES == 0 else None
    utc = next_second.astimezone(UTC)
    return next_second if (utc.hour, utc.minute) == (0, 0) else None


@functools.lru_cache(1000)
def load_timezone(name: str) -> ZoneInfo:
    """Return the time zone with this IANA name; raise ValueError if no time zone has it."""
    if name not in _TIMEZONES:
        raise ValueError("must be an IANA time zone name, such as Europe/Berlin")
    with _TZDATA.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _check_timezone(name: str) -> str:
    load_timezone(name)
    return name


# For fields and parameters: an invalid value becomes an error that names the field.
Timestamp = Annotated[
    datetime, BeforeValidator(parse_rfc_3339), WithJsonSchema({"type": "string", "format": "date-time"})
]
TimezoneName = Annotated[str, Field(examples=["Europe/Berlin", "UTC"]), AfterValidator(_check_timezone)]
