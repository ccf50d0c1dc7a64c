"""Routes to append, read and acknowledge events."""

import os
import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chassis import strictjson
from chassis.db import Transaction
from chassis.errors import Invalid
from chassis.web.app import json_response, this_app
from chassis.web.idempotency import run_idempotent
from chassis.web.validation import DIGITS, PlainText, ResponseSpec, endpoint
from event_service.batcher import MAX_BATCHED_EVENTS, AppendFailed
from event_service.domain.events import Append, AppendBody, PostedEvent, StoredEvent, check_sizes, create_event_id
from event_service.domain.names import Consumer, Name, Producer
from event_service.domain.ownership import second_writer_error
from event_service.domain.schemas import SchemasChanged
from event_service.operations import consuming
from event_service.operations import events as operations
from event_service.routes import responses
from event_service.routes.context import caller, context, limit_large_requests
from event_service.routes.history import HistoryQuery, read_history
from event_service.routes.parameters import MAX_NUMBER, ConsumerHeader, EventPath, StreamPath, parse_event_id
from event_service.routes.responses import COMMON_ERRORS, json_array, ok
from event_service.store import events as store

bp = Blueprint("events", __name__, url_prefix="/api/v1/streams/<stream>/events")


class AppendHeaders(BaseModel):
    producer: Producer = Field(alias="X-Producer-ID")
    expected_position: Annotated[int, Field(ge=0, le=MAX_NUMBER), DIGITS] | None = Field(
        None, alias="X-Expected-Position"
    )


_SECONDS_PATTERN = re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?\Z")


def _parse_seconds(value: Any) -> Any:
    if isinstance(value, str):
        if not _SECONDS_PATTERN.match(value):
            raise ValueError("must be a number of seconds between 0 and 30")
        return float(value)
    return value


class ReadQuery(HistoryQuery):
    model_config = ConfigDict(extra="forbid")
    event_name: Name | None = Field(
        None, alias="eventName", description="Required without `from`, `before` and `from_time`"
    )
    wait: Annotated[float, Field(ge=0, le=30), BeforeValidator(_parse_seconds)] = 0


class ReadHeaders(BaseModel):
    consumer: Consumer | None = Field(None, alias="X-Consumer-ID", description="Required with `eventName`")


class Acknowledgement(BaseModel):
    model_config = ConfigDict(extra="forbid")
    action: Literal["ACK", "NACK"]
    up_to: Literal["1"] | None = Field(
        None, alias="upTo", description="Only with ACK: acknowledge all events up to this one"
    )
    reason: Annotated[PlainText, Field(max_length=1000)] | None = Field(None, description="Only with NACK")


@bp.post("")
@limit_large_requests
@endpoint(
    "Append one event, or an array of up to 1000, all or nothing",
    {
        200: ResponseSpec("The ID of the event, or an array of the IDs", str | list[str]),
        400: responses.INVALID,
        409: responses.CONFLICT,
        413: responses.TOO_LARGE,
        422: responses.KEY_REUSED,
        423: responses.LOCKED,
        503: responses.UNAVAILABLE,
    },
    path=StreamPath,
    headers=AppendHeaders,
    body=AppendBody,
    idempotent=True,
)
def append_events(stream: str, headers: AppendHeaders, body: PostedEvent | list[PostedEvent]) -> Response:
    events = body if isinstance(body, list) else [body]
    is_array = events is body
    check_sizes(events, None if is_array else len(request.get_data()))
    if stream in context().settings.reserved:
        raise second_writer_error()
    append = context().schema_cache.validate(_create_append(stream, headers, events))
    response = json_response(strictjson.dumps(append.ids if is_array else append.ids[0]))
    if len(events) <= MAX_BATCHED_EVENTS and "Idempotency-Key" not in request.headers:
        try:
            context().append_batcher.submit(append)
            return response
        except (SchemasChanged, AppendFailed):
            pass

    def append_in_transaction(tx: Transaction) -> Response:
        operations.append_validated(tx, append, context().schema_cache)
        return response

    return run_idempotent(append_in_transaction)


def _create_append(stream: str, headers: AppendHeaders, events: list[PostedEvent]) -> Append:
    now_milliseconds = time.time_ns() // 1_000_000
    return Append(
        stream,
        headers.producer,
        g.request_id,
        [create_event_id(now_milliseconds, os.urandom(10)) for _ in events],
        events,
        expected_position=headers.expected_position,
        caller=caller(),
    )


@bp.get("")
@endpoint(
    "Read the next events of one name for a consumer, or all events from or before a position, or from a time",
    {200: ResponseSpec("Events, oldest first, or with `before` newest first", list[StoredEvent]), **COMMON_ERRORS},
    path=StreamPath,
    query=ReadQuery,
    headers=ReadHeaders,
)
def read_events(stream: str, query: ReadQuery, headers: ReadHeaders) -> Response:
    if query.start:
        if query.event_name is not None or query.wait:
            raise Invalid.field(query.start, "must not be combined with eventName or wait")
        return read_history(stream, query)
    if query.event_name is None:
        raise Invalid.field("eventName", "is required")
    if headers.consumer is None:
        raise Invalid.field("X-Consumer-ID", "is required")
    page = _get_unread_page(stream, query.event_name, headers.consumer, query.limit)
    poller = context().poller
    # Replays and offsets that are set back wake no reader, so read again even after a timeout.
    if not page.documents and query.wait and not poller.is_stopping():
        poller.wait(stream, query.event_name, page.last, query.wait)
        page = _get_unread_page(stream, query.event_name, headers.consumer, query.limit)
    return json_array(page.documents)


def _get_unread_page(stream: str, name: str, consumer: str, limit: int) -> store.Page:
    with this_app().database.statements() as tx:
        page = store.find_unread_page(tx, stream, name, consumer, limit)
    if page is None:
        raise consuming.unknown_stream_error(stream)
    return page


@bp.post("/<event>")
@endpoint(
    "Acknowledge an event, or report a failed attempt (NACK)",
    {
        200: responses.OK,
        403: responses.FORBIDDEN,
        409: responses.CONFLICT,
        422: responses.KEY_REUSED,
        **COMMON_ERRORS,
    },
    path=EventPath,
    headers=ConsumerHeader,
    form=Acknowledgement,
    idempotent=True,
)
def acknowledge_event(stream: str, event: str, headers: ConsumerHeader, form: Acknowledgement) -> Response:
    if form.action == "NACK" and form.up_to:
        raise Invalid.field("upTo", "must not be combined with NACK")
    if form.action == "ACK" and form.reason:
        raise Invalid.field("reason", "must not be combined with ACK")
    event_id, consumer = parse_event_id(event), headers.consumer
    limit = context().settings.nack_limit

    def acknowledge_in_transaction(tx: Transaction) -> Response:
        now = datetime.now(UTC)
        if form.action == "ACK":
            consuming.acknowledge(tx, stream, event_id, consumer, caller(), up_to=form.up_to == "1", now=now)
        else:
            consuming.nack(tx, stream, event_id, consumer, caller(), reason=form.reason or "", limit=limit, now=now)
        return ok()

    return run_idempotent(acknowledge_in_transaction)
