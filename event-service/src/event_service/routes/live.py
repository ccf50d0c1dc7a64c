"""Server-sent events: new events of a stream, as they are appended. The `id` of each is its position."""

from collections.abc import Iterator
from typing import Annotated

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis.db import Database, Transaction
from chassis.errors import Invalid, Unavailable
from chassis.runtime import logs
from chassis.web.app import this_app, transaction
from chassis.web.validation import DIGITS, ResponseSpec, endpoint
from event_service.domain.names import Name
from event_service.operations.consuming import unknown_stream_error
from event_service.routes.context import Context, context
from event_service.routes.parameters import MAX_NUMBER, StreamPath
from event_service.routes.responses import COMMON_ERRORS
from event_service.store import events, streams

log = logs.logger(__name__)

bp = Blueprint("live", __name__, url_prefix="/api/v1/streams/<stream>/live")

_PAGE_SIZE = 100


class LiveQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    event_name: Name = Field(alias="eventName", description="An event name, or `*` for all names")


class LiveHeaders(BaseModel):
    last_event_id: Annotated[int, Field(ge=0, le=MAX_NUMBER), DIGITS] | None = Field(
        None,
        alias="Last-Event-ID",
        description="A position; the stream continues after it. Without it, only new events are sent",
    )


@bp.get("", head=False)
@endpoint(
    "Follow a stream with server-sent events",
    {
        200: ResponseSpec("`id` is the position, `data` is the event", {"type": "string"}, "text/event-stream"),
        **COMMON_ERRORS,
    },
    path=StreamPath,
    query=LiveQuery,
    headers=LiveHeaders,
)
def follow_stream(stream: str, query: LiveQuery, headers: LiveHeaders) -> Response:
    name = None if query.event_name == "*" else query.event_name
    with transaction() as tx:
        row = streams.find_stream(tx, stream)
        if row is None:
            raise unknown_stream_error(stream)
        start = row["position"] if headers.last_event_id is None else headers.last_event_id
        if start > row["position"]:
            raise Invalid.field("Last-Event-ID", f"must be at most {row['position']}, the last position of the stream")
        after = start if name is None else events.find_last_sequence_at(tx, row["id"], name, start)
    chunks = _event_chunks(this_app().database, context(), stream, row["id"], name, start, after)
    return Response(
        chunks,
        content_type="text/event-stream; charset=utf-8",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _event_chunks(
    database: Database, context: Context, stream: str, stream_id: int, name: str | None, start: int, after: int
) -> Iterator[str]:
    """Yield the events after `after` until the process stops or Postgres becomes unavailable.

    `after` is a sequence if one name is followed, and a position if all names are.
    """
    # A client that loses the connection before the first event resumes from this ID.
    yield f"retry: 1000\nid: {start}\n\n"
    try:
        while not context.poller.is_stopping():
            with database.statements() as tx:
                rows = _list_next_events(tx, stream_id, name, after)
            for sequence, position, document in rows:
                after = position if name is None else sequence
                yield f"id: {position}\ndata: {document}\n\n"
            if not rows and not context.poller.wait(stream, name, after, context.settings.live_heartbeat_seconds):
                yield ":\n\n"
    except Unavailable as problem:
        log.warning("live.ended", reason=problem.detail)


def _list_next_events(tx: Transaction, stream_id: int, name: str | None, after: int) -> list[tuple[int, int, str]]:
    if name is None:
        return events.list_after_position(tx, stream_id, after, _PAGE_SIZE)
    series = streams.find_series(tx, stream_id, name)
    return events.list_after_sequence(tx, series["id"], after, _PAGE_SIZE) if series else []
