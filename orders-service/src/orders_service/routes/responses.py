"""Responses in the shape of the contract, and parameters that many requests share."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from flask import Response, g, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from chassis import strictjson
from chassis.errors import Problem
from chassis.web.app import json_response
from chassis.web.endpoints import ResponseSpec
from orders_service.routes.i18n import LANGUAGES, language, translate

_UUID = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")


def _validate_uuid(value: str) -> str:
    if not _UUID.match(value):
        raise ValueError("uuid must be 1 to 128 characters of A-Z a-z 0-9 . _ -")
    return value


class Query(BaseModel):
    """Query parameters of every request."""

    model_config = ConfigDict(extra="forbid")
    uuid: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9._-]{1,128}$", description="Returned in the response; default: the request ID"),
        BeforeValidator(_validate_uuid),
    ] = None


def _validate_language(value: str) -> str:
    if value not in LANGUAGES:
        raise ValueError("lang must be en, pt or es")
    return value


class LocalizedQuery(Query):
    """Query parameters of requests made by links, which cannot set a header for the language."""

    lang: Annotated[
        Literal["en", "pt", "es"] | None,
        Field(description="Language; takes precedence over Accept-Language"),
        BeforeValidator(_validate_language),
    ] = None


def integer_between(field: str, minimum: int, maximum: int, range_message: str) -> BeforeValidator:
    """Return a validator of an integer in plain digits, with the messages of the contract."""

    def check(value: object) -> int:
        text = str(value)
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
            raise ValueError(f"{field} must be a number")
        if not minimum <= int(text) <= maximum:
            raise ValueError(range_message)
        return int(text)

    return BeforeValidator(check)


def boolean(field: str) -> BeforeValidator:
    """Return a validator of true, false, 1 or 0, with the message of the contract."""

    def check(value: object) -> bool:
        values = {"true": True, "1": True, "false": False, "0": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() not in values:
            raise ValueError(f"{field} must be a bool value")
        return values[str(value).lower()]

    return BeforeValidator(check)


Limit = Annotated[int, Field(ge=1, le=1000), integer_between("limit", 1, 1000, "limit must be between 1 and 1000")]
Offset = Annotated[
    int,
    Field(ge=0, le=2**31 - 1),
    integer_between("offset", 0, 2**31 - 1, "offset must be between 0 and 2147483647"),
]


class PageQuery(Query):
    limit: Annotated[Limit, Field(description="Maximum number of results")] = 100
    offset: Annotated[Offset, Field(description="Number of results to skip")] = 0


def envelope(result: object, message: object = "", status: int = 200, **extra: object) -> Response:
    """Return a response in the shape of the contract; `extra` fields are placed next to the result."""
    body = {"result": result, **extra, "status_code": status, "uuid": _uuid(), "message": message}
    response = json_response(strictjson.dumps(body), status)
    response.headers["Content-Language"] = language()
    response.headers["Vary"] = "Accept-Language"
    return response


def render_problem(problem: Problem) -> Response:
    """Return the response for a problem; its `message` maps the invalid fields to their errors if there are any."""
    if problem.errors:
        message: object = {field: translate(text) for field, text in problem.errors}
    elif type(problem) is Problem and problem.status == 404:
        message = translate("endpoint not found")
    else:
        message = translate(problem.template, **problem.parameters)
    return envelope(None, message, problem.status)


def _uuid() -> str:
    requested = request.args.get("uuid", "")
    return requested if _UUID.match(requested) else g.request_id


class _Envelope(BaseModel):
    result: Any
    status_code: int = Field(description="The status of the response")
    uuid: str = Field(description="`uuid` of the request, or by default its request ID")
    message: str = Field(description="In the language of `Accept-Language`; may be empty")


def success_response(
    description: str, name: str, result: Any, *, example: Any, headers: Sequence[str] = (), **extra: Any
) -> ResponseSpec:
    """Describe a response whose envelope contains such a result; `name` is its name in the OpenAPI document."""
    # They are omitted, never null.
    fields: dict[str, Any] = {name: (type_, None) for name, type_ in extra.items()}
    model = create_model(name, __base__=_Envelope, result=(result, ...), **fields)
    return ResponseSpec(description, model, example=example, headers=headers)


class ErrorResponse(_Envelope):
    result: None
    message: str | dict[str, str] = Field(description="A text, or one for each invalid field")  # type: ignore[assignment]


def error_response(name: str, description: str) -> ResponseSpec:
    return ResponseSpec(description, ErrorResponse, name=name)


INVALID_REQUEST = error_response("InvalidRequest", "The request is invalid; `message` names the fields")
NOT_FOUND = error_response("NotFound", "The resource does not exist")
UNAVAILABLE = error_response(
    "Unavailable", "A dependency is unavailable, or the service is overloaded; retry after `Retry-After` seconds"
)
KEY_IN_USE = error_response("KeyInUse", "The first request with this `Idempotency-Key` is still in progress")
KEY_REUSED = error_response("KeyReused", "This `Idempotency-Key` was already used for a different request")
COMMON_ERRORS: dict[int, ResponseSpec] = {400: INVALID_REQUEST, 404: NOT_FOUND, 503: UNAVAILABLE}
