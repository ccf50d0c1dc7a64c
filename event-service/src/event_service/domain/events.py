"""Events, as they are posted and as they are stored."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired

import orjson
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.errors import Invalid
from chassis.timestamps import ISO_8601_PATTERN, TimezoneName, parse_iso_8601
from event_service.domain.names import EventName, Name
from event_service.domain.ownership import NO_USER, Caller

MAX_PER_REQUEST = 1000
MAX_EVENT_BYTES = 256 * 1024
MAX_VERSION = 2**31 - 1


def _check_version(value: Any) -> Any:
    """Return the value unchanged: 2.0 is accepted as an integer, but it is stored as 2.0."""
    is_integer = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
    if not (is_integer and 1 <= value <= MAX_VERSION):
        raise ValueError(f"must be an integer between 1 and {MAX_VERSION}")
    return value


@functools.lru_cache(4096)
def _check_time(value: str) -> str:
    """Return the value unchanged, so that it is stored as it was posted."""
    parse_iso_8601(value)
    return value


Version = Annotated[
    Any,
    AfterValidator(_check_version),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_VERSION}),
]
SystemTime = Annotated[
    str,
    Field(
        description="`YYYY-MM-DD HH:MM:SS` or another ISO 8601 date and time",
        json_schema_extra={"pattern": ISO_8601_PATTERN},
    ),
    AfterValidator(_check_time),
]
# In a response.
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class EventHeader(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    name: Annotated[EventName, Field(description="What happened", examples=["Webshop order was placed"])]
    version: Annotated[Version, Field(description="Version of the structure of the payload")]


class System(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    id: Annotated[Name, Field(description="ID of the system that sends the event")]
    name: Annotated[Name, Field(description="Name of that system")]
    time: SystemTime
    timezone: Annotated[TimezoneName, Field(description="The time zone of `time`, if that has no offset")]


class Trigger(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    type: Annotated[Name, Field(description="The kind of the cause, such as `user` or `timer`")]
    name: Annotated[Name, Field(description="The cause of the event")]


class PostedEvent(TypedDict):
    """An event as a producer posts it."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    event: EventHeader
    system: System
    trigger: Trigger
    payload: Annotated[dict[str, Any], Field(description="Returned exactly as it was posted")]


_EventList = Annotated[list[PostedEvent], Field(min_length=1, max_length=MAX_PER_REQUEST)]


def _create_body_validator() -> WrapValidator:
    """Return a validator that chooses by the type of the body: a union would report errors for both branches."""
    single, batch = TypeAdapter(PostedEvent), TypeAdapter(_EventList)

    def validate(value: Any, _handler: ValidatorFunctionWrapHandler) -> Any:
        return (batch if isinstance(value, list) else single).validate_python(value, strict=True)

    return WrapValidator(validate)


AppendBody = Annotated[PostedEvent | _EventList, _create_body_validator()]


def to_json(value: Any) -> bytes:
    """Return compact JSON; integers may have any number of digits."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # orjson rejects integers of more than 64 bits.
        return strictjson.dumps(value).encode()


def check_sizes(body: PostedEvent | list[PostedEvent], body_size_bytes: int) -> None:
    """Raise Invalid if an event is too large: a single one as it was received, those of an array as they are stored."""
    if body_size_bytes <= MAX_EVENT_BYTES:
        return
    if not isinstance(body, list) or any(len(to_json(event)) > MAX_EVENT_BYTES for event in body):
        raise Invalid(f"an event must have at most {MAX_EVENT_BYTES} bytes", status=413)


def create_event_id(unix_milliseconds: int, random: bytes) -> str:
    """Return a version 7 UUID from 10 random bytes, so that events of the same time are adjacent in the index."""
    digits = f"{unix_milliseconds:012x}{random.hex()}"
    variant = "89ab"[random[2] & 3]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


@dataclass(frozen=True, slots=True)
class Append:
    """Events that one producer and one user append to one stream, all or nothing."""

    stream: str
    producer: str
    request_id: str
    ids: Sequence[str]
    events: Sequence[PostedEvent] = field(repr=False)
    expected_position: int | None = None
    # The revision of the schemas that the events were validated against; None if no schemas apply.
    schemas_revision: int | None = 0
    caller: Caller = NO_USER
    # The trace context of the request; empty if it is part of no trace.
    traceparent: str = ""


class StoredEventHeader(EventHeader):
    id: Annotated[str, Field(description="A UUID, which the service generated")]


class StoredEvent(TypedDict):
    """An event as a consumer reads it."""

    event: StoredEventHeader
    system: System | None
    trigger: Trigger | None
    payload: dict[str, Any] | None
    stream: Annotated[str, Field(description="Name of the stream")]
    sequence: Annotated[int, Field(description="Number among the events of this name in the stream, without gaps")]
    position: Annotated[int, Field(description="Number among all events of the stream, without gaps")]
    producer: Annotated[str, Field(description="ID of the producer")]
    user: Annotated[str | None, Field(description="The user who appended the event; null for events of services")]
    request_id: Annotated[str, Field(description="ID of the request that appended or caused the event")]
    received_at: Time
    erased_at: NotRequired[Annotated[Time, Field(description="Present if system, trigger and payload were erased")]]
