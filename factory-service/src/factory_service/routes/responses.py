"""Parameters, documented errors, and responses with ETags that several routes share."""

from datetime import UTC, datetime
from typing import Annotated, cast

from flask import Response, current_app, g, request
from pydantic import BaseModel, Field

from chassis.errors import NotFound
from chassis.web.app import JSON_TYPE
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.validation import DIGITS
from factory_service.cache.client import RedisClient
from factory_service.cache.response_cache import CachedResponse, ResponseCache
from factory_service.domain import tags
from factory_service.store.replica import Row

MAX_ID = 2**63 - 1

Id = Annotated[int, Field(ge=1, le=MAX_ID), DIGITS]

INVALID = problem("InvalidRequest", "The request is invalid; `errors` names the fields")
UNAVAILABLE = problem("Unavailable", "A dependency is unavailable; retry after `Retry-After` seconds")
PRECONDITION_FAILED = problem("PreconditionFailed", "`If-Match` does not list the current ETag")
CONFLICT = problem(
    "Conflict",
    "The first request with this `Idempotency-Key` is still in progress, or another one is changing the same resource",
)
KEY_REUSED = problem("KeyReused", "This `Idempotency-Key` was already used for a different request")
UNSUPPORTED_MEDIA_TYPE = problem("UnsupportedMediaType", "`Content-Type` must be `application/json`")
FACTORY_NOT_FOUND = problem("FactoryNotFound", "The factory does not exist")
UPLOAD_TIMEOUT = problem("UploadTimeout", "The upload is too slow or takes too long")
BODY_TOO_LARGE = problem(
    "BodyTooLarge", "The body is larger than 256 MiB, or than 1 MiB if it is JSON that is not a file"
)
NOT_MODIFIED = ResponseSpec("`If-None-Match` lists the current ETag", headers=("ETag",))


class FactoryPath(BaseModel):
    id: Annotated[Id, Field(description="ID of the factory", examples=[1])]


class IfNoneMatch(BaseModel):
    if_none_match: str | None = Field(
        None, alias="If-None-Match", description="ETags: the response is 304 if the resource still has one of them"
    )


class IfMatch(BaseModel):
    if_match: str | None = Field(
        None, alias="If-Match", description="ETags: the change is made only if the resource still has one of them"
    )


def cache() -> ResponseCache:
    return cast(ResponseCache, current_app.extensions["responses"])


def redis() -> RedisClient | None:
    return cast(RedisClient | None, current_app.extensions["redis"])


def from_cache(cached: CachedResponse | None, not_found: NotFound | None = None) -> Response:
    """Return the response, or 304 if the client has this version.

    Raise `not_found` if the resource does not exist; a collection always exists.
    """
    if cached is None:
        raise not_found or LookupError("the collection has no version")
    headers = {"ETag": f'"{cached.version}"'}
    if cached.age_seconds is not None:
        headers |= {"Warning": '110 - "Response is Stale"', "Age": str(cached.age_seconds)}
    if_none_match = request.headers.get("If-None-Match")
    if if_none_match and tags.matches(if_none_match, cached.version):
        return Response(status=304, headers=headers)
    return Response(cached.body + b"\n", headers=headers, content_type=JSON_TYPE)


def from_row(row: Row, status: int, **headers: str) -> Response:
    """Return the response for a resource that this transaction has written, with the version that it commits."""
    version, body, *_ = row
    return Response(f"{body}\n", status, headers={"ETag": f'"{version}"', **headers}, content_type=JSON_TYPE)


def now() -> datetime:
    return datetime.now(UTC)


def request_id() -> str:
    return str(g.request_id)
