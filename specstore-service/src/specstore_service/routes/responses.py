"""Responses as the contract defines them, and the request parts that several routes share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar, cast

from flask import Response, current_app, request
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.errors import NotFound, Problem
from chassis.web.app import json_response, role
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.errors import problem_json
from chassis.web.validation import ListQuery
from specstore_service.domain.names import Name
from specstore_service.domain.tokens import Bearer, token_problem
from specstore_service.operations.tokens import Keyring
from specstore_service.settings import Settings


@dataclass(frozen=True)
class RouteContext:
    """Objects that the routes of an app share."""

    settings: Settings
    keyring: Keyring


def route_context() -> RouteContext:
    return cast(RouteContext, current_app.extensions["specstore"])


Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
State = Annotated[str, Field(json_schema_extra={"enum": ["QUEUED", "INPROGRESS", "SUCCEEDED", "FAILED"]})]


class UploadResult(TypedDict):
    success: bool
    dataset_id: Annotated[str | None, Field(description="`<owner>/<dataset>`; null after a failure")]
    flow_id: Annotated[str | None, Field(description="`<owner>/<dataset>/<revision>`; null after a failure")]
    errors: Annotated[list[str], Field(description="Empty after a success")]


View = TypeVar("View", bound=Callable[..., Any])


def with_error_body(create_body: Callable[[Problem], Mapping[str, Any]]) -> Callable[[View], View]:
    """Decorate a route whose errors have a special body instead of that of RFC 9457."""

    def decorate(view: View) -> View:
        view.create_error_body = create_body  # type: ignore[attr-defined]
        return view

    return decorate


def render_error(problem: Problem) -> Response:
    view = current_app.view_functions.get(request.endpoint or "")
    if create_body := getattr(view, "create_error_body", None):
        return json_response(strictjson.dumps(create_body(problem)), problem.status)
    return problem_json(problem)


_TOKEN_TEXT = "A token of the owner, from `POST /auth/token` or the server that AUTH_SERVER names"
TOKEN_SCHEMES = {
    "Auth-Token": {"type": "apiKey", "in": "header", "name": "Auth-Token", "description": _TOKEN_TEXT},
    "jwt": {"type": "apiKey", "in": "query", "name": "jwt", "description": f"{_TOKEN_TEXT}; for links"},
}
# The alternatives of an operation, for `endpoint(security=…)`.
TOKEN = (("basic", "Auth-Token"), ("basic", "jwt"))
OPTIONAL_TOKEN = (("basic",), *TOKEN)


class TokenHeader(BaseModel):
    """The token, in this header or as `?jwt=`."""

    token: str | None = Field(None, alias="Auth-Token")


class DownloadHeaders(TokenHeader):
    range: str | None = Field(None, alias="Range", description="One range of bytes, such as `bytes=0-1023`")
    if_range: str | None = Field(
        None, alias="If-Range", description="An ETag: the complete file is returned if it has another one"
    )
    if_none_match: str | None = Field(
        None, alias="If-None-Match", description="ETags: the response is 304 if the file still has one of them"
    )


class TokenQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    jwt: str | None = Field(None, description="Token, instead of the header Auth-Token")


class TokenListQuery(ListQuery):
    jwt: str | None = Field(None, description="Token, instead of the header Auth-Token")


AnyTokenQuery = TokenQuery | TokenListQuery


def bearer(headers: TokenHeader, query: AnyTokenQuery) -> Bearer:
    """Return the bearer of the request's token. Raise Problem (401)."""
    return route_context().keyring.check(headers.token or query.jwt)


def require_owner(owner: str, headers: TokenHeader, query: TokenQuery) -> Bearer:
    """Raise Problem (401, 403) unless the request has the owner's token.

    Call this before any query, so that the response does not reveal whether a resource of another owner exists.
    """
    token_bearer = bearer(headers, query)
    if token_bearer.userid != owner:
        raise token_problem(403)
    return token_bearer


def token_userid(headers: TokenHeader, query: AnyTokenQuery) -> str | None:
    """Return the user of the request's token, if there is one. An invalid token counts as no token."""
    if not (headers.token or query.jwt):
        return None
    try:
        return bearer(headers, query).userid
    except Problem as error:
        if error.status == 401:
            return None
        raise


def is_owner_token(owner: str, headers: TokenHeader, query: AnyTokenQuery) -> bool:
    """Return whether the request has the owner's token. An invalid token counts as no token."""
    return token_userid(headers, query) == owner


def is_runner() -> bool:
    """Return whether the caller may run the pipelines of all owners."""
    return role() in ("admin", "runner")


class OwnerPath(BaseModel):
    owner: Annotated[Name, Field(description="ID of the owner", examples=["admin"])]


class DatasetPath(OwnerPath):
    dataset: Annotated[Name, Field(description="Name of the dataset", examples=["wines"])]


class RevisionPath(DatasetPath):
    revision: Annotated[
        str, Field(description="A number, `latest` or `successful`; anything else returns 404", examples=["latest"])
    ]


def not_found() -> NotFound:
    return NotFound("the requested resource does not exist")


UPLOAD_REJECTED = ResponseSpec("The upload failed; `errors` lists the reasons", UploadResult, name="UploadRejected")
_IN_PROGRESS = (
    "The first request with this `Idempotency-Key` is still in progress, or another one changes the same data"
)
UPLOAD_FAILED = {
    **dict.fromkeys((400, 401, 403, 413, 422, 503), UPLOAD_REJECTED),
    409: replace(UPLOAD_REJECTED, name="UploadInProgress", description=_IN_PROGRESS),
}
INVALID = problem("InvalidRequest", "The request is invalid; `errors` names the fields")
NO_TOKEN = problem("NoToken", "The token is missing, invalid, or that of another owner")
NOT_FOUND = problem("NotFound", "The resource does not exist or is not visible to the caller")
UNAVAILABLE = problem("Unavailable", "A dependency is unavailable; retry after `Retry-After` seconds")
