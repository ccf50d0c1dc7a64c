"""An event as it is posted and as it is stored."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from zoneinfo import available_timezones

import orjson
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema, WrapValidator
from typing_extensions import TypedDict

from chassis import strictjson
from event_service.domain.names import Name
from event_service.domain.ownership import NO_USER, Caller

MOST_AT_ONCE = 1000
# The migrations have this number too.
MOST_IN_RUN = 100
_LONGEST_RUN = 65536
LARGEST_EVENT_BYTES = 256 * 1024
LARGEST_VERSION = 2**31 - 1

_TIME = r"^\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d(:?\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?$"
# Read from hundreds of files: before the first request, not in it.
_TIMEZONES = frozenset(available_timezones())
_TIME_SHAPE = re.compile(_TIME.removesuffix("$") + r"\Z", re.ASCII)


def _version(value: Any) -> Any:
    """2.0 is the whole number 2, and stays as it was written."""
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
    if not (whole and 1 <= value <= LARGEST_VERSION):
        raise ValueError(f"must be a whole number between 1 and {LARGEST_VERSION}")
    return value


@functools.lru_cache(4096)
def _time(value: str) -> str:
    if _TIME_SHAPE.match(value):
        try:
            datetime.fromisoformat(value)
            return value
        except ValueError:
            pass
    raise ValueError("must be YYYY-MM-DD HH:MM:SS or another date and time of ISO 8601")


def _timezone(value: str) -> str:
    if value not in _TIMEZONES:
        raise ValueError("must be a name of the IANA time zone database, such as Europe/Berlin")
    return value


Version = Annotated[
    Any,
    AfterValidator(_version),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LARGEST_VERSION}),
]
Time = Annotated[str, Field(json_schema_extra={"pattern": _TIME}), AfterValidator(_time)]
Timezone = Annotated[str, Field(examples=["Europe/Berlin", "UTC"]), AfterValidator(_timezone)]


class EventHead(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    name: Name
    version: Version


class System(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    id: Name
    name: Name
    time: Time
    timezone: Timezone


class Trigger(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    type: Name
    name: Name


class PostedEvent(TypedDict):
    """As a producer posts it."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    event: EventHead
    system: System
    trigger: Trigger
    payload: dict[str, Any]


_Several = Annotated[list[PostedEvent], Field(min_length=1, max_length=MOST_AT_ONCE)]


def _one_or_several() -> WrapValidator:
    """Decided by the look of it: a union would complain once for each of its branches."""
    one, several = TypeAdapter(PostedEvent), TypeAdapter(_Several)

    def choose(value: Any, _handler: Any) -> Any:
        return (several if isinstance(value, list) else one).validate_python(value, strict=True)

    return WrapValidator(choose)


Posted = Annotated[PostedEvent | _Several, _one_or_several()]

_OPENING, _CLOSING = '{"event":{', "}"
# Between events that are written as one. A payload may hold the same, so lines are counted.
_BREAK = "\n"
_BETWEEN = f'{_CLOSING},"\\n",{_OPENING}'


def lines_of(events: Sequence[PostedEvent]) -> str:
    """A line for each: its JSON without the opening and the closing that all have."""
    parted: list[Any] = [_BREAK] * (2 * len(events) - 1)
    parted[::2] = events
    try:
        text = orjson.dumps(parted).decode()
    except TypeError:
        # A whole number of more than 64 bits.
        text = ""
    lines = text[len(_OPENING) + 1 : -len(_CLOSING) - 1].replace(_BETWEEN, "\n")
    if lines.count("\n") == len(events) - 1 and text:
        return lines
    return "\n".join(strictjson.dumps(event)[len(_OPENING) : -len(_CLOSING)] for event in events)


class Run(NamedTuple):
    """Events of one name that come one behind the other, with their lines; `id` is the first one's."""

    name: str
    id: str
    size: int
    lines: str


def runs_of(events: Sequence[PostedEvent], ids: Sequence[str], lines: str) -> list[Run]:
    """As few as can be. Reading one event means to read its run, so none is long."""
    names = [event["event"]["name"] for event in events]
    if names.count(names[0]) == len(names) <= MOST_IN_RUN and len(lines) <= _LONGEST_RUN:
        return [Run(names[0], ids[0], len(names), lines)]
    each = lines.split("\n")

    def run(first: int, end: int) -> Run:
        return Run(names[first], ids[first], end - first, "\n".join(each[first:end]))

    runs: list[Run] = []
    first = length = 0
    for place, line in enumerate(each):
        is_full = place - first == MOST_IN_RUN or length + len(line) > _LONGEST_RUN
        if place > first and (is_full or names[place] != names[first]):
            runs.append(run(first, place))
            first, length = place, 0
        length += len(line)
    return [*runs, run(first, len(each))]


@dataclass(frozen=True, slots=True)
class Append:
    """Events for one stream by one producer and one user: all of them or none."""

    stream: str
    producer: str
    request_id: str
    events: Sequence[PostedEvent] = field(repr=False)
    runs: Sequence[Run] = field(repr=False)
    expected_position: int | None = None
    # Of the schemas that the events were checked against.
    revision: int = 0
    caller: Caller = NO_USER


def event_ids(unix_milliseconds: int, count: int, random: bytes) -> list[str]:
    """UUIDs of version 7 in ascending order: a counter of 12 bits, then 62 bits of the 8 random bytes (RFC 9562, 6.2).

    Those of a moment lie side by side in their index, and from the first of a run the others follow.
    """
    if count > MOST_AT_ONCE:
        raise ValueError(f"{count} ids of one moment")
    time, tail = f"{unix_milliseconds:012x}", random.hex()
    head = f"{time[:8]}-{time[8:]}-7"
    end = f"-{'89ab'[random[0] & 3]}{tail[1:4]}-{tail[4:16]}"
    return [f"{head}{number:03x}{end}" for number in range(count)]


class StoredHead(EventHead):
    id: str


class StoredEvent(TypedDict):
    """As a consumer reads it."""

    event: StoredHead
    system: System
    trigger: Trigger
    payload: dict[str, Any]
    stream: str
    sequence: int
    position: int
    producer: str
    user: str | None
    request_id: str
    received_at: str
