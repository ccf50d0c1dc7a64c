"""Path and header parameters that several routes share."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from event_service.domain.names import Consumer, StreamName
from event_service.operations.consuming import unknown_event_error

# JavaScript clients represent integers exactly up to this one.
MAX_NUMBER = 2**53

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")

_SECONDS_PATTERN = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?\Z")


def _parse_seconds(value: Any) -> Any:
    if isinstance(value, str):
        if not _SECONDS_PATTERN.match(value):
            raise ValueError("must be a number of seconds")
        return float(value)
    return value


# Used with a bounded Field: `Annotated[float, Field(ge=0, le=30), SECONDS]`.
SECONDS = BeforeValidator(_parse_seconds)


class StreamPath(BaseModel):
    stream: Annotated[StreamName, Field(description="Name of the stream", examples=["webshop"])]


class EventIdPath(BaseModel):
    event: Annotated[str, Field(description="The ID of the event, a UUID", json_schema_extra={"format": "uuid"})]


class EventPath(EventIdPath, StreamPath):
    pass


class ConsumerPath(StreamPath):
    consumer: Annotated[Consumer, Field(description="ID of the consumer", examples=["billing"])]


class ParkedPath(ConsumerPath):
    event: Annotated[str, Field(description="The ID of the event, a UUID", json_schema_extra={"format": "uuid"})]


class ConsumerHeader(BaseModel):
    consumer: Consumer = Field(alias="X-Consumer-ID", description="ID of the consumer", examples=["billing"])


def parse_event_id(text: str) -> str:
    """Return the text; raise NotFound if it is not a UUID, because no event has such an ID."""
    if not _UUID.match(text):
        raise unknown_event_error()
    return text
