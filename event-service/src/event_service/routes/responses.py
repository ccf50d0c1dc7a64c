"""Responses in the shape of the contract: JSON strings."""

from collections.abc import Iterable

from flask import Response

from chassis import strictjson
from chassis.errors import Problem
from chassis.web.app import json_response
from chassis.web.validation import ResponseSpec

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


def render(problem: Problem) -> Response:
    """`"<reason phrase> - <error>"`; a content type that is not taken is a bad request here."""
    status = 400 if problem.status == 415 else problem.status
    phrase = _PHRASES.get(status, "Error")
    return json_response(strictjson.dumps(f"{phrase} - {problem.detail}" if problem.detail else phrase), status)


def ok() -> Response:
    return json_response('"OK"')


def json_array(documents: Iterable[str]) -> Response:
    return json_response(f"[{','.join(documents)}]")


def text_answer(description: str, text: str) -> ResponseSpec:
    return ResponseSpec(description, {"type": "string", "pattern": f"^{text}"})


OK = ResponseSpec("Done", {"type": "string", "const": "OK"})
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

USUAL: dict[int, ResponseSpec] = {400: INVALID, 404: UNKNOWN, 503: AWAY}
