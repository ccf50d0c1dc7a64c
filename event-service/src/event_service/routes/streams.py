"""Routes for streams."""

import json
from typing import Annotated, Any

from flask import Blueprint
from pydantic import Field
from typing_extensions import TypedDict

from chassis.web.app import transaction
from chassis.web.endpoints import ResponseSpec
from chassis.web.validation import ListQuery, endpoint
from event_service.domain.events import Time
from event_service.domain.names import StreamName
from event_service.operations.consuming import unknown_stream_error
from event_service.routes import examples
from event_service.routes.parameters import StreamPath
from event_service.routes.responses import COMMON_ERRORS, INVALID, UNAVAILABLE
from event_service.store import streams

bp = Blueprint("streams", __name__, url_prefix="/api/v1/streams")


class StreamsQuery(ListQuery):
    prefix: StreamName | None = Field(None, description="Only streams whose names begin with this text")
    after: StreamName | None = Field(None, description="Only streams that follow this name in the order of the list")


class StreamState(TypedDict):
    stream: str
    producer: Annotated[str, Field(description="ID of the producer, which owns the stream")]
    events: Annotated[dict[str, int], Field(description="Number of events by name")]
    position: Annotated[int, Field(description="Position of the last event; 0 before the first")]
    first_at: Time | None
    last_at: Time | None


class StreamsPage(TypedDict):
    streams: list[StreamState]
    total: int


@bp.get("")
@endpoint(
    "List all streams, ordered by name",
    {200: ResponseSpec("One page of streams", StreamsPage, example=examples.STREAMS), 400: INVALID, 503: UNAVAILABLE},
    query=StreamsQuery,
    description="`total` is the number of streams with the prefix, regardless of `after`.",
    tag="streams",
)
def list_streams(query: StreamsQuery) -> dict[str, Any]:
    prefix = query.prefix or ""
    with transaction() as tx:
        rows = streams.list_streams(tx, prefix, query.after or "", query.limit, query.offset)
        return {"streams": [_state(row) for row in rows], "total": streams.count_streams(tx, prefix)}


@bp.get("/<stream>")
@endpoint(
    "Get a stream",
    {200: ResponseSpec("The stream", StreamState, example=examples.STREAM), **COMMON_ERRORS},
    path=StreamPath,
    tag="streams",
    description="Includes the number of events per name, and the position of the last event.",
)
def get_stream(stream: str) -> dict[str, Any]:
    with transaction() as tx:
        row = streams.find_stream_summary(tx, stream)
    if row is None:
        raise unknown_stream_error(stream)
    return _state(row)


def _state(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "events": json.loads(row["events"])}
