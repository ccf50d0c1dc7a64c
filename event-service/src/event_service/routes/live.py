"""Server-sent events: the stream as it grows. An event's id is its position."""

from collections.abc import Iterator
from typing import Annotated

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis.db import Database
from chassis.errors import Invalid, Unavailable
from chassis.runtime import logs
from chassis.web.app import this_app, transaction
from chassis.web.validation import DIGITS, Answer, endpoint
from event_service.domain.names import Name
from event_service.operations.consuming import unknown_stream
from event_service.routes.answers import LARGEST_NUMBER, USUAL, StreamPath, Web, web
from event_service.store import reading

log = logs.logger(__name__)

bp = Blueprint("live", __name__, url_prefix="/api/v1/streams/<stream>/live")

_AT_ONCE = 100


class LiveQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    event_name: Name = Field(alias="eventName", description="`*` for all")


class LiveHeaders(BaseModel):
    last_event_id: Annotated[int, Field(ge=0, le=LARGEST_NUMBER), DIGITS] | None = Field(
        None, alias="Last-Event-ID", description="A position: goes on after it. Without it, from now on"
    )


@bp.get("", head=False)
@endpoint(
    "Server-sent events, as they are appended",
    {200: Answer("`id` is the position, `data` the event", {"type": "string"}, "text/event-stream"), **USUAL},
    path=StreamPath,
    query=LiveQuery,
    headers=LiveHeaders,
)
def follow_stream(stream: str, query: LiveQuery, headers: LiveHeaders) -> Response:
    name = None if query.event_name == "*" else query.event_name
    with transaction() as tx:
        last = reading.find_position(tx, stream)
        if last is None:
            raise unknown_stream(stream)
        start = last if headers.last_event_id is None else headers.last_event_id
        if start > last:
            raise Invalid.field("Last-Event-ID", f"is beyond the stream's last position, {last}")
        after = start if name is None else reading.last_sequence_at(tx, stream, name, start)
    lines = _lines(this_app().database, web(), stream, name, start, after)
    return Response(
        lines,
        content_type="text/event-stream; charset=utf-8",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _lines(database: Database, web: Web, stream: str, name: str | None, start: int, after: int) -> Iterator[str]:
    """`after` is the last number sent: a sequence of one name, a position of all. Ends with the process."""
    # An id without data: whoever loses the connection before the first event goes on from here.
    yield f"retry: 1000\nid: {start}\n\n"
    try:
        while not web.watch.is_stopping():
            with database.statements() as tx:
                found = reading.list_after(tx, stream, name, after, _AT_ONCE)
            for number, position, text in found:
                after = number
                yield f"id: {position}\ndata: {text}\n\n"
            if not found and not web.watch.wait(stream, name, after, web.heartbeat_seconds):
                yield ":\n\n"
    except Unavailable as problem:
        log.warning("live.ended", reason=problem.detail)
