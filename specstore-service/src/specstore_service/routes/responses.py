"""Responses in the shapes of the contract, and the parts of a request that several routes have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from flask import Response, current_app, request
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.errors import NotFound, Problem
from chassis.web.app import json_response, role
from chassis.web.errors import problem_json
from chassis.web.openapi import problem
from chassis.web.validation import ListQuery, ResponseSpec
from specstore_service.domain.names import Name
from specstore_service.domain.tokens import Bearer, token_problem
from specstore_service.operations.tokens import Keyring
from specstore_service.settings import Settings


@dataclass(frozen=True)
class Web:
    """What the routes share while the app runs."""

    settings: Settings
    keyring: Keyring


def web() -> Web:
    return current_app.extensions["specstore"]


class Uploaded(TypedDict):
    success: bool
    dataset_id: str | None
    flow_id: str | None
    errors: list[str]


def with_error_body(body_of: Callable[[Problem], Mapping[str, Any]]) -> Callable[[Any], Any]:
    """Decorate a route whose errors have a body of their own in place of that of RFC 9457."""

    def decorate(view: Any) -> Any:
        view.error_body = body_of
        return view

    return decorate


def render_error(problem: Problem) -> Response:
    view = current_app.view_functions.get(request.endpoint or "")
    if body_of := getattr(view, "error_body", None):
        return json_response(strictjson.dumps(body_of(problem)), problem.status)
    return problem_json(problem)


class TokenHeader(BaseModel):
    """A token comes in this header or as `?jwt=`."""

    token: str | None = Field(None, alias="Auth-Token")


class TokenQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    jwt: str | None = Field(None, description="In place of the header Auth-Token")


class TokenListQuery(ListQuery):
    jwt: str | None = Field(None, description="In place of the header Auth-Token")


def bearer(headers: TokenHeader, query: TokenQuery | TokenListQuery) -> Bearer:
    """Raises Problem (401)."""
    return web().keyring.check(headers.token or query.jwt)


def require_owner(owner: str, headers: TokenHeader, query: TokenQuery) -> Bearer:
    """Before anything is looked up: the answer does not tell what there is of another owner."""
    who = bearer(headers, query)
    if who.userid != owner:
        raise token_problem(403)
    return who


def is_owner(owner: str, headers: TokenHeader, query: TokenQuery | TokenListQuery) -> bool:
    """A token that is none shows what anybody is shown."""
    if not (headers.token or query.jwt):
        return False
    try:
        return bearer(headers, query).userid == owner
    except Problem as wrong:
        if wrong.status == 401:
            return False
        raise


def is_runner() -> bool:
    """Return whether the caller may run the pipelines of all owners."""
    return role() in ("admin", "runner")


class OwnerPath(BaseModel):
    owner: Name


class DatasetPath(OwnerPath):
    dataset: Name


class RevisionPath(DatasetPath):
    revision: Annotated[str, Field(pattern="^(latest|successful|[1-9][0-9]{0,8})$")]


def not_found() -> NotFound:
    return NotFound("there is nothing of this name")


_FAILED = "What went wrong, in words"
UPLOAD_FAILED: dict[int, ResponseSpec] = {
    status: ResponseSpec(_FAILED, Uploaded) for status in (400, 401, 403, 409, 413, 422, 503)
}
INVALID = problem("The request breaks a rule; `errors` names the fields")
NO_TOKEN = problem("No token, or one that is not the owner's")
NOT_FOUND = problem("There is nothing of this name, or nothing that may be seen")
UNAVAILABLE = problem("A dependency is away; try again after `Retry-After` seconds")
