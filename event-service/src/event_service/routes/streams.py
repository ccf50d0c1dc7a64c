"""Routes for streams and for the schemas of their events."""

import json
from typing import Annotated, Any

from flask import Blueprint, Response, request
from pydantic import Field
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.errors import Problem
from chassis.web.app import transaction
from chassis.web.validation import DIGITS, ListQuery, ResponseSpec, endpoint
from event_service.domain.events import MAX_EVENT_BYTES, MAX_VERSION
from event_service.domain.names import EventName
from event_service.domain.ownership import second_writer_error
from event_service.domain.schemas import Document, Schema
from event_service.operations import schemas
from event_service.operations.consuming import unknown_stream_error
from event_service.routes.context import caller, context
from event_service.routes.parameters import StreamPath
from event_service.routes.responses import COMMON_ERRORS, FORBIDDEN, INVALID, LOCKED, OK, TOO_LARGE, UNAVAILABLE, ok
from event_service.store import streams

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
    name: EventName
    version: Annotated[int, Field(ge=1, le=MAX_VERSION), DIGITS]


@bp.get("")
@endpoint(
    "List all streams, ordered by name",
    {200: ResponseSpec("One page of streams", StreamsPage), 400: INVALID, 503: UNAVAILABLE},
    query=ListQuery,
)
def list_streams(query: ListQuery) -> dict[str, Any]:
    with transaction() as tx:
        rows = streams.list_streams(tx, query.limit, query.offset)
        return {"streams": [_state(row) for row in rows], "total": streams.count_streams(tx)}


@bp.get("/<stream>")
@endpoint("Get a stream", {200: ResponseSpec("The stream", StreamState), **COMMON_ERRORS}, path=StreamPath)
def get_stream(stream: str) -> dict[str, Any]:
    with transaction() as tx:
        row = streams.find_stream_summary(tx, stream)
    if row is None:
        raise unknown_stream_error(stream)
    return _state(row)


def _state(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "events": json.loads(row["events"])}


@bp.put("/<stream>/schemas/<name>/<version>")
@endpoint(
    "Set the JSON Schema that later payloads of this name and version are validated against",
    {200: OK, 400: INVALID, 403: FORBIDDEN, 413: TOO_LARGE, 423: LOCKED, 503: UNAVAILABLE},
    path=SchemaPath,
    body=Document,
    description="If the stream has events, only its owner and admins may set schemas. A schema that is set before the "
    "first event, even by an admin, binds only the user who set it: it applies if that user appends the first event, "
    "and is deleted if another user does.",
)
def put_schema(stream: str, name: str, version: str, body: Document) -> Response:
    if len(request.get_data()) > MAX_EVENT_BYTES:
        raise Problem(f"the body must have at most {MAX_EVENT_BYTES} bytes", status=413)
    Schema(body)
    if stream in context().settings.reserved:
        raise second_writer_error()
    with transaction() as tx:
        schemas.put_schema(tx, stream, name, int(version), strictjson.dumps(body), caller())
    return ok()
