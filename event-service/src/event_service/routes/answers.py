"""Answers in the shape of the contract: JSON strings; and the parts of a request that several routes have."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Annotated, Any

from flask import Response, current_app, request
from pydantic import BaseModel, Field

from chassis import strictjson
from chassis.errors import NotFound, Problem
from chassis.runtime.turns import Turns
from chassis.web.app import json_response, role, username
from chassis.web.validation import Answer
from event_service.domain.names import Consumer, StreamName
from event_service.domain.ownership import Caller, caller_of
from event_service.routes.appender import Appender
from event_service.routes.watch import Watch

LARGEST_NUMBER = 2**53

LARGE_BYTES = 16 * 1024
_LARGE_AT_ONCE = 4

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_PHRASES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    423: "Locked",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True)
class Web:
    """What the routes share while the app runs."""

    appender: Appender
    watch: Watch
    nack_limit: int
    heartbeat_seconds: float
    reserved_streams: frozenset[str]
    large: Turns = field(default_factory=lambda: Turns(_LARGE_AT_ONCE))


def web() -> Web:
    return current_app.extensions["event"]


def caller() -> Caller:
    return caller_of(username(), role())


def few_large_at_once(view: Callable[..., Response]) -> Callable[..., Response]:
    """Large bodies wait, as the bytes that they are, until few others are worked on: what is made of each is ten times
    as large, and a processor that has to keep that of all at hand is a quarter slower."""

    @wraps(view)
    def admitted(**path: Any) -> Response:
        if len(request.get_data()) < LARGE_BYTES:
            return view(**path)
        with web().large:
            return view(**path)

    return admitted


def render(problem: Problem) -> Response:
    """`"<reason phrase> - <error>"`; a content type that is not taken is a bad request here."""
    status = 400 if problem.status == 415 else problem.status
    phrase = _PHRASES.get(status, "Error")
    return json_response(strictjson.dumps(f"{phrase} - {problem.detail}" if problem.detail else phrase), status)


def ok() -> Response:
    return json_response('"OK"')


def existing_id(text: str) -> str:
    """No event has an id that is no UUID."""
    if not _UUID.match(text):
        raise NotFound("")
    return text


def text_answer(description: str, text: str) -> Answer:
    return Answer(description, {"type": "string", "pattern": f"^{text}"})


OK = Answer("Done", {"type": "string", "const": "OK"})
INVALID = text_answer("The request breaks a rule; the text names the field", "Bad Request - ")
UNKNOWN = text_answer("There is no such stream or event", "Not Found")
LOCKED = text_answer(
    "The stream belongs to another producer or user, or to a service", "Locked - Second writers not allowed$"
)
FORBIDDEN = text_answer("The stream or the consumer belongs to another user", "Forbidden - ")
CONFLICT = text_answer(
    "The stream is at another position, or the first request with this key still runs", "Conflict - "
)
TOO_LARGE = text_answer("More than an event or a request may have", "Content Too Large - ")
KEY_REUSED = text_answer("The Idempotency-Key was used for something else", "Unprocessable Content - ")
AWAY = text_answer("Postgres is away; try again after `Retry-After` seconds", "Service Unavailable - ")

USUAL: dict[int, Answer] = {400: INVALID, 404: UNKNOWN, 503: AWAY}

Position = Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]


class StreamPath(BaseModel):
    stream: StreamName


class EventPath(StreamPath):
    event: Annotated[str, Field(description="A UUID", json_schema_extra={"format": "uuid"})]


class ConsumerPath(StreamPath):
    consumer: Consumer


class ParkedPath(ConsumerPath):
    event: Annotated[str, Field(description="A UUID", json_schema_extra={"format": "uuid"})]


class ConsumerHeader(BaseModel):
    consumer: Consumer = Field(alias="X-Consumer-ID")


Json = dict[str, Any]
