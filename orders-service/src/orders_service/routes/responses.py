"""Responses in the shape of the contract, and parameters that many requests have in common."""

import re
from typing import Annotated, Any, Literal

from flask import Response, g, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from chassis import strictjson
from chassis.errors import Problem
from chassis.web.app import json_response
from chassis.web.validation import ResponseSpec
from orders_service.routes.i18n import language, translate

_UUID = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")


def _plain_id(value: str) -> str:
    if not _UUID.match(value):
        raise ValueError("uuid must be 1 to 128 of A-Z a-z 0-9 . _ -")
    return value


class Query(BaseModel):
    """Every request may bring an id of its own, which comes back."""

    model_config = ConfigDict(extra="forbid")
    uuid: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9._-]{1,128}$", description="Comes back in the answer"),
        BeforeValidator(_plain_id),
    ] = ""


class Spoken(Query):
    """A link cannot say which language it wants in a header."""

    lang: Annotated[
        Literal["en", "pt", "es"] | None, Field(description="The language, whatever Accept-Language says")
    ] = None


def number_of(field: str, least: int, most: int, beyond: str) -> Any:
    """Checks a whole number in plain digits, in the words of the contract."""

    def check(value: Any) -> int:
        text = str(value)
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
            raise ValueError(f"{field} must be a number")
        if not least <= int(text) <= most:
            raise ValueError(beyond)
        return int(text)

    return BeforeValidator(check)


def flag_of(field: str) -> Any:
    def check(value: Any) -> bool:
        known = {"true": True, "1": True, "false": False, "0": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() not in known:
            raise ValueError(f"{field} must be a bool value")
        return known[str(value).lower()]

    return BeforeValidator(check)


Limit = Annotated[int, Field(ge=1, le=1000), number_of("limit", 1, 1000, "limit must be between 1 and 1000")]
Offset = Annotated[
    int, Field(ge=0, le=2**31 - 1), number_of("offset", 0, 2**31 - 1, "offset must be between 0 and 2147483647")
]


class Page(Query):
    limit: Limit = 100
    offset: Offset = 0


def envelope(result: Any, message: Any = "", status: int = 200, **beside: Any) -> Response:
    """`beside` stands next to the result."""
    body = {"result": result, **beside, "status_code": status, "uuid": _uuid(), "message": message}
    response = json_response(strictjson.dumps(body), status)
    response.headers["Content-Language"] = language()
    response.headers["Vary"] = "Accept-Language"
    return response


def render(problem: Problem) -> Response:
    """What is wrong with single fields is told by their names."""
    if problem.errors:
        message: Any = {field: translate(text) for field, text in problem.errors}
    elif type(problem) is Problem and problem.status == 404:
        message = translate("endpoint not found")
    else:
        message = translate(problem.detail)
    return envelope(None, message, problem.status)


def _uuid() -> str:
    given = request.args.get("uuid", "")
    return given if _UUID.match(given) else g.request_id


def shape(name: str, result: Any, **beside: Any) -> type[BaseModel]:
    """The envelope around such a result, for the document."""
    fields: dict[str, Any] = {name: (type_, None) for name, type_ in beside.items()}
    return create_model(
        name, result=(result, ...), status_code=(int, ...), uuid=(str, ...), message=(str, ...), **fields
    )


class Refusal(BaseModel):
    result: None
    status_code: int
    uuid: str
    message: str | dict[str, str]


def refusal(description: str) -> ResponseSpec:
    return ResponseSpec(description, Refusal)


INVALID = refusal("The request breaks a rule; `message` names the fields")
UNKNOWN = refusal("There is nothing of that name")
AWAY = refusal("A dependency is away, or too much is under way; try again after `Retry-After` seconds")
USUAL: dict[int, ResponseSpec] = {400: INVALID, 404: UNKNOWN, 503: AWAY}
