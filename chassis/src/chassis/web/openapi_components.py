"""Parts of every OpenAPI document: its texts, and the parameters, headers and errors that many operations share."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chassis.web.endpoints import Endpoint, ResponseSpec, problem

_REQUEST_ID_TEXT = "of the request, in every log line, message and event that it causes"
_REQUEST_ID = "0f8fad5bd9cb469fa16570867728950e"


@dataclass(frozen=True)
class Api:
    """The description of a document, its tags with theirs, and its security schemes other than `basic`."""

    description: str
    tags: Mapping[str, str]
    security_schemes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


INFO = {
    "license": {"name": "MIT", "identifier": "MIT"},
    "contact": {"name": "The administrator of this installation"},
}
SERVERS = [
    {"url": "/", "description": "The gateway from which this document was downloaded"},
    {"url": "http://127.0.0.1:8080", "description": "The gateway that `make up` starts by default"},
]
BASIC = {"type": "http", "scheme": "basic", "description": "A user of the gateway and its generated password"}

# Without examples, which /docs/ would send: each request needs another value.
PARAMETERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "name": "X-Request-ID",
        "in": "header",
        "description": f"ID {_REQUEST_ID_TEXT}: 1 to 128 characters of A-Z a-z 0-9 . _ -, otherwise it is replaced",
        "schema": {"type": "string"},
    },
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Such as a UUID: a request that repeats it within 24 h returns the first response again",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    },
}


def _header(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


HEADERS = {
    "X-Request-ID": _header(f"ID {_REQUEST_ID_TEXT}", _REQUEST_ID),
    "Retry-After": _header("Seconds after which the request can be repeated", "1"),
    "Location": _header("Path of the resource that was created or that shows the progress", "/path/of/the/resource"),
    "ETag": _header("Version of the resource, for `If-Match` and `If-None-Match`", '"42"'),
    "Idempotent-Replayed": _header("`true` if this is the stored response of an earlier request", "true"),
}

# Errors of the gateway.
_UNAUTHORIZED = ResponseSpec(
    "The user is unknown, or the password is wrong", {"type": "string", "const": "Unauthorized"}, name="Unauthorized"
)
_ROLE_REQUIRED = problem("RoleRequired", "The role of the user does not allow this request")
_TOO_MANY_REQUESTS = problem("TooManyRequests", "The user has sent too many requests, or too many concurrently")
_UNKNOWN_OUTCOME = "It is unknown whether the change was made; the message states what to do"


def with_common_errors(spec: Endpoint, changes_state: bool) -> dict[int, ResponseSpec]:
    """Add the errors of the gateway, and that of a change during which the connection to the database was lost."""
    errors = {429: _TOO_MANY_REQUESTS}
    if spec.security != ():
        errors |= {401: _UNAUTHORIZED, 403: _ROLE_REQUIRED}
    if changes_state and (unavailable := spec.responses.get(503)):
        # In the shape of 503.
        name = (unavailable.name or "").replace("Unavailable", "OutcomeUnknown")
        errors[504] = replace(unavailable, name=name, description=_UNKNOWN_OUTCOME)
    return {**errors, **spec.responses}
