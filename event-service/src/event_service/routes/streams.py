"""Which streams there are, and the schemas of their events."""

import json
from typing import Annotated, Any

from flask import Blueprint, Response, request
from pydantic import Field
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.errors import Problem
from chassis.web.app import transaction
from chassis.web.validation import DIGITS, ListQuery, ResponseSpec, endpoint
from event_service.domain.events import LARGEST_EVENT_BYTES, LARGEST_VERSION
from event_service.domain.names import Name
from event_service.domain.ownership import second_writer
from event_service.domain.schemas import Document, Schema
from event_service.operations import schemas
from event_service.operations.consuming import unknown_stream
from event_service.routes.context import caller, context
from event_service.routes.parameters import StreamPath
from event_service.routes.responses import AWAY, FORBIDDEN, INVALID, LOCKED, OK, TOO_LARGE, USUAL, ok
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
    name: Name
    version: Annotated[int, Field(ge=1, le=LARGEST_VERSION), DIGITS]


@bp.get("")
@endpoint(
    "All streams, by name",
    {200: ResponseSpec("A page of them", StreamsPage), 400: INVALID, 503: AWAY},
    query=ListQuery,
)
def list_streams(query: ListQuery) -> Any:
    with transaction() as tx:
        rows = streams.list_streams(tx, query.limit, query.offset)
        return {"streams": [_state(row) for row in rows], "total": streams.count_streams(tx)}


@bp.get("/<stream>")
@endpoint("One stream", {200: ResponseSpec("The stream", StreamState), **USUAL}, path=StreamPath)
def get_stream(stream: str) -> Any:
    with transaction() as tx:
        row = streams.find_summary(tx, stream)
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
    description="In a stream with events, only its owner and an admin may set schemas. A schema that is set before the "
    "first event, by an admin too, binds only the stream of the user who set it: it applies if that user appends the "
    "first event, and is deleted if another user does.",
)
def put_schema(stream: str, name: str, version: str, body: Document) -> Response:
    if len(request.get_data()) > LARGEST_EVENT_BYTES:
        raise Problem(f"the body is larger than {LARGEST_EVENT_BYTES} bytes", status=413)
    Schema(body)
    if stream in context().settings.reserved:
        raise second_writer()
    with transaction() as tx:
        schemas.put_schema(tx, stream, name, int(version), strictjson.dumps(body), caller())
    return ok()
