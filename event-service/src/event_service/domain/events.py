"""An event as it is posted and as it is stored."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import available_timezones

import orjson
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema, WrapValidator
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.errors import Invalid
from event_service.domain.names import Name
from event_service.domain.ownership import NO_USER, Caller

MOST_AT_ONCE = 1000
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


def to_json(value: Any) -> bytes:
    """Return compact JSON; integers have any number of digits."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # An integer of more than 64 bits.
        return strictjson.dumps(value).encode()


def check_sizes(events: Sequence[PostedEvent], sent_bytes: int | None) -> None:
    """Raise Invalid if an event is too large: as it was sent, or, in an array (None), as it is stored."""
    largest = sent_bytes or max(len(to_json(event)) for event in events)
    if largest > LARGEST_EVENT_BYTES:
        raise Invalid(f"an event may have {LARGEST_EVENT_BYTES} bytes at the most", status=413)


def event_id(unix_milliseconds: int, random: bytes) -> str:
    """Return a UUID of version 7 made of 10 random bytes: events of one time are neighbors in their index."""
    digits = f"{unix_milliseconds:012x}{random.hex()}"
    variant = "89ab"[random[2] & 3]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


@dataclass(frozen=True, slots=True)
class Append:
    """Events for one stream by one producer and one user: all of them or none."""

    stream: str
    producer: str
    request_id: str
    ids: Sequence[str]
    events: Sequence[PostedEvent] = field(repr=False)
    expected_position: int | None = None
    # Of the schemas that the events were validated against; None: they need not be.
    schemas_revision: int | None = 0
    caller: Caller = NO_USER


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
