"""Server-sent events: new events of a stream, as they are appended. The `id` of each is its position."""

from collections.abc import Iterator
from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from chassis.db import Database, Transaction
from chassis.errors import Invalid, Unavailable
from chassis.runtime import logs
from chassis.web.app import this_app
from chassis.web.endpoints import ResponseSpec
from chassis.web.validation import DIGITS, endpoint
from event_service.domain.names import Name
from event_service.routes import examples
from event_service.routes.context import Context, context
from event_service.routes.parameters import MAX_NUMBER, StreamPath
from event_service.routes.responses import INVALID, UNAVAILABLE
from event_service.store import documents, events, streams

log = logs.logger(__name__)

bp = Blueprint("live", __name__, url_prefix="/api/v1/streams/<stream>/live")

_PAGE_SIZE = 100


def _ignore_empty(value: Any) -> Any:
    return None if value == "" else value


# A position of up to 20 digits. Clients send an empty one if they have received no ID yet.
LastEventId = Annotated[
    Annotated[int, Field(ge=0, le=MAX_NUMBER), DIGITS] | None,
    BeforeValidator(_ignore_empty),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{0,20}$"}),
]


class LiveQuery(BaseModel):
    # Clients add parameters, for instance against caches.
    model_config = ConfigDict(extra="ignore")
    event_name: Name = Field(alias="eventName", description="An event name, or `*` for all names")
    last_event_id: LastEventId = Field(
        None,
        alias="lastEventId",
        description="For clients that cannot send the header `Last-Event-ID`; the greater of the two applies",
    )


class LiveHeaders(BaseModel):
    last_event_id: LastEventId = Field(
        None,
        alias="Last-Event-ID",
        description="A position; the stream continues after it. Without it, only new events are sent",
    )


@bp.get("", head=False)
@endpoint(
    "Follow a stream with server-sent events",
    {
        200: ResponseSpec(
            "`id` is the position, `data` is the event",
            {"type": "string"},
            "text/event-stream",
            example=examples.LIVE_EVENTS,
        ),
        400: INVALID,
        503: UNAVAILABLE,
    },
    path=StreamPath,
    query=LiveQuery,
    headers=LiveHeaders,
    tag="events",
    description="The response does not end: it sends each event when it is appended, and a comment every 15 s "
    "otherwise. A client that reconnects with the last ID that it received misses nothing and "
    "receives nothing twice. A stream that does not exist yet is followed from its first event. "
    "Unknown query parameters are ignored.",
)
def follow_stream(stream: str, query: LiveQuery, headers: LiveHeaders) -> Response:
    name = None if query.event_name == "*" else query.event_name
    # When it reconnects, a browser repeats the query and updates the header; other clients update the query.
    last_ids = {"lastEventId": query.last_event_id, "Last-Event-ID": headers.last_event_id}
    field, last_id = max(last_ids.items(), key=lambda item: -1 if item[1] is None else item[1])
    start, after = _find_start(stream, name, field, last_id)
    chunks = _event_chunks(this_app().database, context(), stream, name, start, after)
    return Response(
        chunks,
        content_type="text/event-stream; charset=utf-8",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _find_start(stream: str, name: str | None, field: str, last_id: int | None) -> tuple[int, int]:
    """Return the position after which the client continues, and what it corresponds to in the series.

    A stream that does not exist yet is followed from its first event; nothing is stored for that.
    """
    with this_app().database.statements() as tx:
        row = streams.find_stream(tx, stream)
        position = row["position"] if row else 0
        start = position if last_id is None else last_id
        if start > position:
            raise Invalid.field(field, f"must be at most {position}, the last position of the stream")
        if name is None:
            return start, start
        series = streams.find_range(tx, stream, name)
        return start, documents.find_last_sequence_at(tx, series["id"], start) if series else 0


def _event_chunks(
    database: Database, context: Context, stream: str, name: str | None, start: int, after: int
) -> Iterator[str]:
    """Yield the events after `after` until the process stops or Postgres becomes unavailable.

    `after` is a sequence if one name is followed, and a position if all names are.
    """
    # A client that loses the connection before the first event resumes from this ID.
    yield f"retry: 1000\nid: {start}\n\n"
    try:
        with context.live_readers.labels("sse").track_inprogress():
            while not context.poller.is_stopping():
                with database.statements() as tx:
                    rows, after = _list_next_events(tx, stream, name, after)
                for sequence, position, document in rows:
                    after = position if name is None else sequence
                    yield f"id: {position}\ndata: {document}\n\n"
                if not rows and not context.poller.wait(stream, name, after, context.settings.live_heartbeat_seconds):
                    yield ":\n\n"
    except Unavailable as problem:
        log.warning("live.ended", reason=problem.detail)


def _list_next_events(
    tx: Transaction, stream: str, name: str | None, after: int
) -> tuple[list[tuple[int, int, str]], int]:
    """Return the next events, and `after` or, if the events after it were deleted, the last one that was."""
    available = streams.find_range(tx, stream, name)
    if available is None:
        return [], after
    after = max(after, available["first"] - 1)
    list_after = events.list_after_position if name is None else events.list_after_sequence
    return list_after(tx, available["id"], after, _PAGE_SIZE), after
