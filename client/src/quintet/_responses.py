"""Error responses as exceptions: each service's shape has the same meaning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from quintet import errors
from quintet.errors import FieldError, ResponseError

ERROR_CLASSES: dict[int, type[ResponseError]] = {
    400: errors.InvalidInput,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    412: errors.PreconditionFailed,
    413: errors.TooLarge,
    422: errors.KeyReused,
    423: errors.Locked,
    429: errors.RateLimited,
    500: errors.ServerError,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}
_MAX_TEXT_LENGTH = 500
_Parsed: TypeAlias = tuple[str, list[FieldError], str | None]


def error_from_response(status: int, headers: Mapping[str, str], body: bytes) -> ResponseError:
    """Return the exception for an error response of the gateway or of any service."""
    title = _phrase(status)
    detail, field_errors, instance = _parse(body)
    if 300 <= status < 400:
        detail = f"the server redirects to {headers.get('location', 'another URL')}; use the URL of the gateway"
    return ERROR_CLASSES.get(status, ResponseError)(
        detail or title,
        status=status,
        title=title,
        errors=field_errors,
        request_id=headers.get("x-request-id") or instance,
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _parse(body: bytes) -> _Parsed:
    """Return the detail, the invalid fields and the request ID in the body."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        # An error page of a proxy, for instance; HTML does not help.
        text = body.decode("utf-8", "replace").strip()
        return ("" if text.startswith("<") else text[:_MAX_TEXT_LENGTH]), [], None
    if isinstance(document, str):
        # event-service: "Conflict - stream is at 3"; the gateway: "Unauthorized"
        return document.partition(" - ")[2] or document, [], None
    if not isinstance(document, dict):
        return "", [], None
    if "message" in document and "status_code" in document:
        return _parse_envelope(document)
    if "detail" in document:
        fields = [
            FieldError(str(entry["field"]), str(entry["message"]))
            for entry in _list_of(document, "errors")
            if isinstance(entry, dict) and {"field", "message"} <= entry.keys()
        ]
        return str(document["detail"]), fields, document.get("instance")
    return "; ".join(map(str, _list_of(document, "errors"))), [], None


def _list_of(document: dict[str, Any], name: str) -> list[Any]:
    """Return the list; an empty one if another program has sent something else."""
    value = document.get(name)
    return value if isinstance(value, list) else []


def _parse_envelope(document: dict[str, Any]) -> _Parsed:
    """Parse the shape of orders-service, whose message maps invalid fields to their errors."""
    message = document["message"]
    if not isinstance(message, dict):
        return str(message), [], document.get("uuid")
    fields = [FieldError(field, str(text)) for field, text in message.items()]
    # Most of these messages begin with the name of the field.
    texts = [text if text.startswith(field) else f"{field}: {text}" for field, text in fields]
    return "; ".join(texts), fields, document.get("uuid")
