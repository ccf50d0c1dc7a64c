"""Parts of every OpenAPI document: its texts, and the parameters, headers and errors that many operations share."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chassis.web.endpoints import Endpoint, ResponseSpec, problem

_REQUEST_ID_TEXT = "of the request, in every log line, message and event that it causes"
_REQUEST_ID = "0f8fad5bd9cb469fa16570867728950e"


@dataclass(frozen=True)
class Api:
    """The description of a document, its tags with theirs, and its security schemes other than `basic`.

    Each operation accepts the `headers`, in addition to those that all services accept.
    """

    description: str
    tags: Mapping[str, str]
    security_schemes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


INFO = {
    "license": {"name": "MIT", "identifier": "MIT"},
    "contact": {"name": "The administrator of this installation"},
}
SERVERS = [
    {"url": "/", "description": "The gateway from which this document was downloaded"},
    {"url": "http://127.0.0.1:8080", "description": "The gateway that `make up` starts by default"},
]
BASIC = {"type": "http", "scheme": "basic", "description": "A user of the gateway and its generated password"}


def header_parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


# Without examples, which /docs/ would send: each request needs another value.
PARAMETERS = {
    "X-Request-ID": header_parameter(
        "X-Request-ID",
        f"ID {_REQUEST_ID_TEXT}: 1 to 128 characters of A-Z a-z 0-9 . _ -, otherwise it is replaced",
    ),
    "Idempotency-Key": header_parameter(
        "Idempotency-Key",
        "Such as a UUID: a request that repeats it within 24 h returns the first response again",
        minLength=1,
        maxLength=255,
        pattern="^[!-~]+$",
    ),
}


def _header(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


HEADERS = {
    "X-Request-ID": _header(f"ID {_REQUEST_ID_TEXT}", _REQUEST_ID),
    "Retry-After": _header("Seconds after which the request can be repeated", "1"),
    "Content-Range": _header("The bytes that were sent, or `*`, and the size of the file", "bytes 5-15/33"),
    "Location": _header("Path of the resource that was created or that shows the progress", "/path/of/the/resource"),
    "ETag": _header(
        "Version of the resource, for `If-Match` and `If-None-Match`", '"1-c2ffb902-a2b4-4160-9eae-9497c41e0e22"'
    ),
    "Idempotent-Replayed": _header("`true` if this is the stored response of an earlier request", "true"),
}

# Errors of the gateway. It names them in the same way in all documents, also if a service has another shape of errors.
_UNAUTHORIZED = ResponseSpec(
    "The user is unknown, or the password is wrong", {"type": "string", "const": "Unauthorized"}, name="Unauthorized"
)
_ROLE_REQUIRED = problem("RoleRequired", "The role of the user does not allow this request")
_BODY_TOO_LARGE = problem("RequestTooLarge", "The body exceeds the limit of the path: 1 MiB unless stated otherwise")
_FROM_ALL_PATHS = {
    429: problem("TooManyRequests", "The user has sent too many requests, or too many concurrently"),
    502: problem("BadGateway", "The service broke the connection; the change may have been made"),
    503: problem("Unreachable", "No process of the service is reachable; nothing was done"),
    504: problem("Timeout", "The service has not responded in time; the change may have been made"),
}


def outcome_unknown(unavailable: ResponseSpec) -> ResponseSpec:
    """Return the description of 504, which has the shape of the service's 503."""
    name = (unavailable.name or "").removesuffix("Unavailable") + "OutcomeUnknown"
    text = "It is unknown whether the change was made; the message states what to do"
    return replace(unavailable, name=name, description=text)


def all_responses(spec: Endpoint, method: str) -> dict[int, list[ResponseSpec]]:
    """Return the responses of the service by status, each followed by that of the gateway with the same status."""
    own = dict(spec.responses)
    if method != "get" and 503 in own:
        own.setdefault(504, outcome_unknown(own[503]))
    gateway = dict(_FROM_ALL_PATHS)
    if spec.security != ():
        gateway |= {401: _UNAUTHORIZED, 403: _ROLE_REQUIRED}
    if spec.has_body:
        gateway[413] = _BODY_TOO_LARGE
    return {
        status: [responses[status] for responses in (own, gateway) if status in responses]
        for status in sorted({*own, *gateway})
    }
