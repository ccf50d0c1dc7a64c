"""Appends as nearly all of them come: JSON of a known length for a plainly named stream, without conditions."""

import re
from contextlib import nullcontext
from typing import Any

from pydantic import TypeAdapter, ValidationError

from chassis import strictjson
from chassis.web.app import LARGEST_BODY_BYTES
from chassis.web.shortcut import Reply
from chassis.web.validation import checked
from event_service.domain.events import Posted
from event_service.domain.names import Producer
from event_service.domain.ownership import Caller, caller_of
from event_service.routes.answers import LARGE_BYTES, Web
from event_service.routes.events import appending

_PATH = re.compile(r"/api/v1/streams/([A-Za-z0-9_-][A-Za-z0-9._-]{0,254})/events\Z")
_ROUTE = "/api/v1/streams/<stream>/events"
_CONDITIONS = ("HTTP_X_EXPECTED_POSITION", "HTTP_IDEMPOTENCY_KEY", "HTTP_CONTENT_ENCODING")

_posted: TypeAdapter[Any] = TypeAdapter(Posted)
_producer: TypeAdapter[str] = TypeAdapter(Producer)


class Shortcut:
    def __init__(self, own: Web) -> None:
        self._own = own

    def __call__(self, environ: dict[str, Any], request_id: str) -> Reply | None:
        if environ["REQUEST_METHOD"] != "POST" or environ.get("CONTENT_TYPE") != "application/json":
            return None
        path, producer, length = _PATH.match(environ["PATH_INFO"]), _producer_of(environ), _length_of(environ)
        if not path or not producer or not length or environ.get("QUERY_STRING"):
            return None
        if any(condition in environ for condition in _CONDITIONS):
            return None
        raw = environ["wsgi.input"].read(length)
        with self._own.large if len(raw) >= LARGE_BYTES else nullcontext():
            return self._append(path[1], producer, _caller_of(environ), request_id, raw)

    def _append(self, stream: str, producer: str, caller: Caller, request_id: str, raw: bytes) -> Reply:
        body = strictjson.loads(raw)
        body = checked(lambda: _posted.validate_python(body, strict=True))
        append, answer = appending(stream, producer, caller, request_id, body, len(raw))
        self._own.appender.append(append)
        return Reply(_ROUTE, answer.encode(), [])


def _length_of(environ: dict[str, Any]) -> int:
    """0 where it is not told, or too large."""
    told = environ.get("CONTENT_LENGTH", "")
    return int(told) if told.isdecimal() and len(told) < 8 and int(told) <= LARGEST_BODY_BYTES else 0


def _caller_of(environ: dict[str, Any]) -> Caller:
    return caller_of(environ.get("HTTP_X_AUTHENTICATED_USER", ""), environ.get("HTTP_X_AUTHENTICATED_ROLE", ""))


def _producer_of(environ: dict[str, Any]) -> str | None:
    given = environ.get("HTTP_X_PRODUCER_ID", "")
    try:
        return _producer.validate_python(given) if given.isascii() else None
    except ValidationError:
        return None
