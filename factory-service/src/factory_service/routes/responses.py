"""What the routes have in common: parameters, documented errors, and responses with their ETags."""

from datetime import UTC, datetime
from typing import Annotated

from flask import Response, current_app, g, request
from pydantic import BaseModel, Field

from chassis.errors import NotFound
from chassis.web.app import JSON_TYPE
from chassis.web.openapi import problem
from chassis.web.validation import DIGITS, ResponseSpec
from factory_service.cache.client import RedisClient
from factory_service.cache.responses import CachedResponse, ResponseCache
from factory_service.domain import tags
from factory_service.store.replica import Row

LARGEST_ID = 2**63 - 1

Id = Annotated[int, Field(ge=1, le=LARGEST_ID), DIGITS]

INVALID = problem("The request breaks a rule; `errors` names the fields")
AWAY = problem("A dependency is away; try again after `Retry-After` seconds")
CHANGED = problem("`If-Match` names an ETag that it does not have any more")
CONFLICT = problem("The first request with this Idempotency-Key still runs, or somebody else changes the same")
KEY_REUSED = problem("The Idempotency-Key was used for something else")
NO_JSON = problem("The body is no JSON")
NOT_MODIFIED = ResponseSpec("Its ETag is one of those in `If-None-Match`")


class IdPath(BaseModel):
    id: Id


class IfNoneMatch(BaseModel):
    if_none_match: str | None = Field(None, alias="If-None-Match")


class IfMatch(BaseModel):
    if_match: str | None = Field(
        None, alias="If-Match", description="ETags: only what still has one of them is changed"
    )


def cache() -> ResponseCache:
    return current_app.extensions["responses"]


def redis() -> RedisClient | None:
    return current_app.extensions["redis"]


def cached(response: CachedResponse | None, unknown: NotFound | None = None) -> Response:
    """304 if the client has it already. Raises `unknown` if the thing does not exist; a list always does."""
    if response is None:
        raise unknown or LookupError("a list without a version")
    headers = {"ETag": f'"{response.version}"'}
    if response.age_seconds is not None:
        headers |= {"Warning": '110 - "Response is Stale"', "Age": str(response.age_seconds)}
    if_none_match = request.headers.get("If-None-Match")
    if if_none_match and tags.matches(if_none_match, response.version):
        return Response(status=304, headers=headers)
    return Response(response.body, headers=headers, content_type=JSON_TYPE)


def written(row: Row, status: int, **headers: str) -> Response:
    """What a thing is from the commit on."""
    version, body, *_ = row
    return Response(body, status, headers={"ETag": f'"{version}"', **headers}, content_type=JSON_TYPE)


def now() -> datetime:
    return datetime.now(UTC)


def request_id() -> str:
    return str(g.request_id)
