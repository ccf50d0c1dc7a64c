"""Which streams there are, and the schemas of their events."""

import json
from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import Field
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.web.app import transaction
from chassis.web.validation import DIGITS, Answer, ListQuery, endpoint
from event_service.domain.events import LARGEST_EVENT_BYTES, LARGEST_VERSION
from event_service.domain.names import Name
from event_service.domain.ownership import second_writer
from event_service.domain.schemas import Document, Schema
from event_service.operations import appending
from event_service.operations.consuming import unknown_stream
from event_service.routes.answers import (
    AWAY,
    FORBIDDEN,
    INVALID,
    LOCKED,
    OK,
    TOO_LARGE,
    USUAL,
    StreamPath,
    caller,
    ok,
    web,
)
from event_service.store import reading

bp = Blueprint("streams", __name__, url_prefix="/api/v1/streams")


class StreamState(TypedDict):
    stream: str
    producer: str
    events: dict[str, int]
    position: int
    first_at: str | None
    last_at: str | None


class StreamsPage(TypedDict):
    streams: list[StreamState]
    total: int


class SchemaPath(StreamPath):
    name: Name
    version: Annotated[int, Field(ge=1, le=LARGEST_VERSION), DIGITS]


@bp.get("")
@endpoint(
    "All streams, by name",
    {200: Answer("A page of them", StreamsPage), 400: INVALID, 503: AWAY},
    query=ListQuery,
)
def list_streams(query: ListQuery) -> Any:
    with transaction() as tx:
        found = reading.list_streams(tx, query.limit, query.offset)
        return {"streams": [_state(row) for row in found], "total": reading.count_streams(tx)}


@bp.get("/<stream>")
@endpoint("One stream", {200: Answer("The stream", StreamState), **USUAL}, path=StreamPath)
def get_stream(stream: str) -> Any:
    with transaction() as tx:
        row = reading.find_stream(tx, stream)
    if row is None:
        raise unknown_stream(stream)
    return _state(row)


def _state(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "events": json.loads(row["events"])}


@bp.put("/<stream>/schemas/<name>/<version>")
@endpoint(
    "From now on payloads of that name and version are checked against this JSON Schema",
    {200: OK, 400: INVALID, 403: FORBIDDEN, 413: TOO_LARGE, 423: LOCKED, 503: AWAY},
    path=SchemaPath,
    body=Document,
    largest_body_bytes=LARGEST_EVENT_BYTES,
    description="In a stream with events, only its owner and an admin may set schemas. A schema that is set before the "
    "first event, by an admin too, binds only the stream of the user who set it: it applies if that user appends the "
    "first event, and is deleted if another user does.",
)
def put_schema(stream: str, name: str, version: str, body: Document) -> Response:
    Schema(body)
    if stream in web().reserved_streams:
        raise second_writer()
    with transaction() as tx:
        appending.put_schema(tx, stream, name, int(version), strictjson.dumps(body), caller())
    return ok()
