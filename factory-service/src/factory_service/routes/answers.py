"""What the routes have in common: answers with their ETags, from Redis where it has them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Response, current_app, g, request
from pydantic import BaseModel, Field

from chassis.db import Transaction
from chassis.errors import Invalid, NotFound
from chassis.web import idempotency
from chassis.web.app import JSON_TYPE, transaction
from chassis.web.openapi import problem
from chassis.web.validation import DIGITS, Answer
from factory_service.cache.answers import Answers
from factory_service.cache.entries import Entry
from factory_service.domain import tags
from factory_service.domain.charts import MOST_POINTS
from factory_service.store import charts
from factory_service.store.reading import Row, Sources

LARGEST_ID = 2**63 - 1

Id = Annotated[int, Field(ge=1, le=LARGEST_ID), DIGITS]
Loaded = tuple[str, str] | None

INVALID = problem("The request breaks a rule; `errors` names the fields")
AWAY = problem("A dependency is away; try again after `Retry-After` seconds")
CHANGED = problem("`If-Match` names an ETag that it does not have any more")
CONFLICT = problem("The first request with this Idempotency-Key still runs, or somebody else changes the same")
KEY_REUSED = problem("The Idempotency-Key was used for something else")
NO_JSON = problem("The body is no JSON")
NOT_MODIFIED = Answer("Its ETag is one of those in `If-None-Match`")


class IdPath(BaseModel):
    id: Id


class IfNoneMatch(BaseModel):
    if_none_match: str | None = Field(None, alias="If-None-Match")


class IfMatch(BaseModel):
    if_match: str | None = Field(
        None, alias="If-Match", description="ETags: only what still has one of them is changed"
    )


@dataclass(frozen=True)
class Web:
    """What the routes share while the app runs."""

    answers: Answers
    sources: Sources

    def read(self, entity: str, way: str, sql: str, params: dict[str, Any]) -> Entry | None:
        def load(locked: bool) -> Loaded:
            return loaded(self.sources.find(entity, sql, params, locked=locked))

        return self.answers.read(entity, way, load)

    def read_chart(self, id_: int, part: str, params: dict[str, Any]) -> Entry | None:
        """The whole of it. What is not to be kept need not be looked for alone."""

        def load(locked: bool) -> Loaded:
            row = None if locked else self.sources.find_chart(part, id_)
            if locked or (row and row[1] is None):
                row = self.sources.find(f"factory:{id_}", charts.WHOLE[part], params, locked=locked)
            return loaded(row)

        return self.answers.read(f"factory:{id_}", part or "/", load)


def web() -> Web:
    return current_app.extensions["factory"]


def loaded(row: Row | None) -> Loaded:
    """Raises Invalid where the answer would have too many points."""
    if row is None:
        return None
    tag, body, *sizes = row
    if sizes and sizes[0] > MOST_POINTS:
        advice = "ask for fewer with from and to, points, or limit"
        raise Invalid.field("points", f"{sizes[0]} are more than {MOST_POINTS} in one answer: {advice}")
    return tag, body


def headers_of(entry: Entry) -> list[tuple[str, str]]:
    """The same whichever way the answer goes out."""
    headers = [("ETag", f'"{entry.tag}"')]
    if entry.age_seconds is not None:
        headers += [("Warning", '110 - "Response is Stale"'), ("Age", str(entry.age_seconds))]
    return headers


def answer(entry: Entry | None, unknown: Callable[[], NotFound]) -> Response:
    if entry is None:
        raise unknown()
    given = request.headers.get("If-None-Match")
    if given and tags.matches(given, entry.tag):
        return Response(status=304, headers=headers_of(entry))
    return Response(entry.body, headers=headers_of(entry), content_type=JSON_TYPE)


def made(found: Loaded, status: int, **headers: str) -> Response:
    """The answer to a change: what the thing is from the commit on."""
    assert found
    more = {"ETag": f'"{found[0]}"', **headers}
    return Response(found[1], status, headers=more, content_type=JSON_TYPE)


def one(tx: Transaction, sql: str, **params: Any) -> Loaded:
    rows = tx.rows(sql, **params)
    return loaded(rows[0]) if rows else None


def once(make: Callable[[Transaction], Any], **more: Any) -> Response:
    """One effect for each key. Who gave the first answer may not have lived to wait until all see the effect."""
    response = idempotency.once(make, **more)
    if "Idempotent-Replayed" in response.headers:
        with transaction() as tx:
            web().answers.settle(tx)
    return response


def now() -> datetime:
    return datetime.now(UTC)


def request_id() -> str:
    return str(g.request_id)
