"""Responses in the format of the contract: JSON strings."""

from collections.abc import Iterable

from flask import Response

from chassis import strictjson
from chassis.errors import Problem
from chassis.web.app import json_response
from chassis.web.endpoints import ResponseSpec

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
    504: "Gateway Timeout",
}


def render(problem: Problem) -> Response:
    """Return `"<reason phrase> - <error>"`; as the contract requires, 415 becomes 400."""
    status = 400 if problem.status == 415 else problem.status
    phrase = _PHRASES.get(status, "Error")
    return json_response(strictjson.dumps(f"{phrase} - {problem.detail}" if problem.detail else phrase), status)


def ok() -> Response:
    return json_response('"OK"')


def json_array(documents: Iterable[str]) -> Response:
    return json_response(f"[{','.join(documents)}]")


def text_response(name: str, description: str, text: str) -> ResponseSpec:
    return ResponseSpec(description, {"type": "string", "pattern": f"^{text}"}, name=name)


OK = ResponseSpec("The request succeeded", {"type": "string", "const": "OK"}, example="OK")
INVALID = text_response("InvalidRequest", "The request is invalid; the text names the field", "Bad Request - ")
NOT_FOUND = text_response("NotFound", "The stream, the event or the schema does not exist", "Not Found")
LOCKED = text_response(
    "Locked", "The stream belongs to another producer or user, or to a service", "Locked - Second writers not allowed$"
)
FORBIDDEN = text_response(
    "Forbidden", "The stream or the consumer belongs to another user, or the stream has no owner yet", "Forbidden - "
)
CONFLICT = text_response(
    "Conflict",
    "The stream is at another position, or the first request with this `Idempotency-Key` is still in progress",
    "Conflict - ",
)
KEY_IN_USE = text_response(
    "KeyInUse", "The first request with this `Idempotency-Key` is still in progress", "Conflict - "
)
MIXED_READS = text_response(
    "MixedReads", "The consumer uses leases, and the request does not, or vice versa", "Conflict - "
)
TOO_LARGE = text_response("TooLarge", "The event or the request is too large", "Content Too Large - ")
KEY_REUSED = text_response(
    "KeyReused", "This `Idempotency-Key` was already used for a different request", "Unprocessable Content - "
)
UNAVAILABLE = text_response(
    "Unavailable",
    "Postgres is unavailable; retry after `Retry-After` seconds",
    "(Service Unavailable|Gateway Timeout) - ",
)

COMMON_ERRORS: dict[int, ResponseSpec] = {400: INVALID, 404: NOT_FOUND, 503: UNAVAILABLE}
