"""Routes that read events regardless of any consumer, and the erasure of one."""

from datetime import UTC, datetime
from typing import Annotated

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from chassis.db import Transaction
from chassis.errors import Invalid
from chassis.timestamps import Timestamp
from chassis.web.app import json_response, this_app, transaction
from chassis.web.endpoints import ResponseSpec
from chassis.web.validation import DIGITS, ListQuery, endpoint
from event_service.domain.cursors import CURSOR_PATTERN, END, parse_cursor
from event_service.domain.events import StoredEvent
from event_service.domain.names import EventName
from event_service.operations import consuming
from event_service.operations import events as operations
from event_service.routes import examples
from event_service.routes.context import caller
from event_service.routes.parameters import MAX_NUMBER, EventIdPath, EventPath, parse_event_id
from event_service.routes.responses import COMMON_ERRORS, FORBIDDEN, INVALID, UNAVAILABLE, json_array
from event_service.store import documents, feeds
from event_service.store import events as store

bp = Blueprint("history", __name__, url_prefix="/api/v1")


class HistoryQuery(BaseModel):
    """The start of a page of events of all names."""

    limit: Annotated[int, Field(ge=1, le=1000, description="Maximum number of events"), DIGITS]
    from_: Annotated[int, Field(ge=1, le=MAX_NUMBER), DIGITS] | None = Field(
        None,
        alias="from",
        description="The first position to read; returns events of all names, regardless of any consumer",
    )
    before: Annotated[int, Field(ge=1, le=MAX_NUMBER), DIGITS] | None = Field(
        None, description="Returns events of all names before this position, newest first"
    )
    from_time: Timestamp | None = Field(
        None, description="Returns events of all names from the first that was received at or after this time"
    )
    name: EventName | None = Field(
        None, description="With `from`, `before` or `from_time`: returns only the events of this name"
    )

    @property
    def start(self) -> str | None:
        """The name of the parameter that selects the events; None for a consumer's page."""
        values = {"from": self.from_, "before": self.before, "from_time": self.from_time}
        names = [name for name, value in values.items() if value is not None]
        if len(names) > 1:
            raise Invalid.field(names[0], f"must not be combined with {names[1]}")
        return names[0] if names else None


class RequestQuery(ListQuery):
    model_config = ConfigDict(extra="forbid")
    request_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$", description="The X-Request-ID of the request")]


class NewestQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: Annotated[int, Field(ge=1, le=1000, description="Maximum number of events"), DIGITS] = 100
    before: Annotated[str, Field(pattern=CURSOR_PATTERN)] | None = Field(
        None, description="`next` of the previous page; without it, the page begins with the newest event"
    )


class EventsPage(TypedDict):
    events: list[StoredEvent]
    total: int


class NewestPage(EventsPage):
    next: Annotated[str | None, Field(description="`before` of the next page; null on the last page")]


def read_history(stream: str, query: HistoryQuery) -> Response:
    with this_app().database.statements() as tx:
        stream_id = consuming.get_stream_id(tx, stream)
        if query.name is None:
            return json_array(_list_documents(tx, stream_id, query))
        series_id = feeds.find_feed_id(tx, stream_id, query.name)
        return json_array(_list_documents_of_series(tx, series_id, query) if series_id else [])


def _list_documents(tx: Transaction, stream_id: int, query: HistoryQuery) -> list[str]:
    if query.before is not None:
        return documents.list_before_position(tx, stream_id, query.before, query.limit)
    position = query.from_ or 1
    if query.from_time is not None:
        position = documents.find_first_position_since(tx, stream_id, query.from_time)
    return [document for _, _, document in store.list_after_position(tx, stream_id, position - 1, query.limit)]


def _list_documents_of_series(tx: Transaction, series_id: int, query: HistoryQuery) -> list[str]:
    if query.from_time is not None:
        first = documents.find_first_number_since(tx, series_id, query.from_time)
        return documents.list_from_sequence(tx, series_id, first, query.limit)
    # The limits of the page are positions.
    last_before = documents.find_last_sequence_at(tx, series_id, (query.before or query.from_ or 1) - 1)
    if query.before is not None:
        return documents.list_until_sequence(tx, series_id, last_before, query.limit)
    return documents.list_from_sequence(tx, series_id, last_before + 1, query.limit)


@bp.get("/streams/<stream>/events/<event>")
@endpoint(
    "Get an event",
    {200: ResponseSpec("The event", StoredEvent, example=examples.EVENT), **COMMON_ERRORS},
    path=EventPath,
    tag="events",
    description="Returns the event as consumers read it; if it was erased, without content but with `erased_at`.",
)
def get_event(stream: str, event: str) -> Response:
    event_id = parse_event_id(event)
    with this_app().database.statements() as tx:
        return _event_response(store.find_event_document(tx, stream, event_id))


def _event_response(document: str | None) -> Response:
    if document is None:
        raise consuming.unknown_event_error()
    return json_response(document)


@bp.delete("/streams/<stream>/events/<event>")
@endpoint(
    "Erase the content of an event: its payload, system and trigger",
    {204: ResponseSpec("The event has no content"), 403: FORBIDDEN, **COMMON_ERRORS},
    path=EventPath,
    description="Only admins may erase events. The event keeps its name, position and sequence, and the time of its "
    "erasure is added to it as `erased_at`.",
    tag="events",
)
def erase_event(stream: str, event: str) -> tuple[str, int]:
    event_id = parse_event_id(event)
    with transaction() as tx:
        operations.erase_event(tx, stream, event_id, caller(), datetime.now(UTC))
    return "", 204


@bp.get("/events/newest")
@endpoint(
    "List the newest events of all streams, newest first",
    {
        200: ResponseSpec(
            "One page of events; `next` is null on the last page", NewestPage, example=examples.NEWEST_EVENTS
        ),
        400: INVALID,
        503: UNAVAILABLE,
    },
    query=NewestQuery,
    description="An event that is appended while pages are read may be on none of them: the order is that of "
    "`received_at`, and concurrent appends to different streams become visible in any order.",
    tag="events",
)
def list_newest_events(query: NewestQuery) -> Response:
    before = parse_cursor(query.before) if query.before else END
    with transaction() as tx:
        rows = documents.list_newest(tx, before, query.limit + 1)
        total = documents.count_events(tx)
    page = rows[: query.limit]
    next_cursor = f'"{page[-1][0]}"' if len(rows) > query.limit else "null"
    events = ",".join(document for _, document in page)
    return json_response(f'{{"events":[{events}],"total":{total},"next":{next_cursor}}}')


@bp.get("/events/<event>")
@endpoint(
    "Get an event of any stream",
    {200: ResponseSpec("The event", StoredEvent, example=examples.EVENT), **COMMON_ERRORS},
    path=EventIdPath,
    tag="events",
    description="For callers that know the ID of an event, but not its stream.",
)
def find_event(event: str) -> Response:
    event_id = parse_event_id(event)
    with this_app().database.statements() as tx:
        return _event_response(documents.find_document(tx, event_id))


@bp.get("/events")
@endpoint(
    "List the events that a request caused, in all streams, oldest first",
    {200: ResponseSpec("One page of events", EventsPage, example=examples.EVENTS), 400: INVALID, 503: UNAVAILABLE},
    query=RequestQuery,
    tag="events",
    description="These are the events that were appended with this `X-Request-ID`, and those that other services "
    "published because of it.",
)
def list_events_of_request(query: RequestQuery) -> Response:
    with transaction() as tx:
        page = documents.list_caused_by(tx, query.request_id, query.limit, query.offset)
        total = documents.count_caused_by(tx, query.request_id)
    return json_response(f'{{"events":[{",".join(page)}],"total":{total}}}')
