"""Append, read, acknowledge."""

import os
import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chassis import strictjson
from chassis.db import Transaction
from chassis.errors import Invalid, NotFound
from chassis.web.app import json_response, this_app
from chassis.web.idempotency import run_idempotent
from chassis.web.validation import DIGITS, PlainText, ResponseSpec, endpoint
from event_service.batcher import MAX_BATCHED_EVENTS, AppendFailed
from event_service.domain.events import Append, Posted, PostedEvent, StoredEvent, check_sizes, event_id
from event_service.domain.names import Consumer, Name, Producer
from event_service.domain.ownership import second_writer
from event_service.domain.schemas import SchemasChanged
from event_service.operations import consuming
from event_service.operations import events as operations
from event_service.routes import responses
from event_service.routes.context import caller, context, limit_large_requests
from event_service.routes.parameters import MAX_NUMBER, ConsumerHeader, EventPath, StreamPath, parse_event_id
from event_service.routes.responses import USUAL, json_array, ok
from event_service.store import events as store

bp = Blueprint("events", __name__, url_prefix="/api/v1/streams/<stream>/events")


class AppendHeaders(BaseModel):
    producer: Producer = Field(alias="X-Producer-ID")
    expected_position: Annotated[int, Field(ge=0, le=MAX_NUMBER), DIGITS] | None = Field(
        None, alias="X-Expected-Position"
    )


_SECONDS = re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?\Z")


def _plain_seconds(value: Any) -> Any:
    if isinstance(value, str):
        if not _SECONDS.match(value):
            raise ValueError("must be a number of seconds between 0 and 30")
        return float(value)
    return value


class ReadQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: Annotated[int, Field(ge=1, le=1000), DIGITS]
    event_name: Name | None = Field(None, alias="eventName", description="Required without `from`")
    wait: Annotated[float, Field(ge=0, le=30), BeforeValidator(_plain_seconds)] = 0
    from_: Annotated[int, Field(ge=1, le=MAX_NUMBER), DIGITS] | None = Field(
        None,
        alias="from",
        description="A position: the stream as it is, all names, without consumer and `eventName`",
    )


class ReadHeaders(BaseModel):
    consumer: Consumer | None = Field(None, alias="X-Consumer-ID", description="Required without `from`")


class Acknowledgement(BaseModel):
    model_config = ConfigDict(extra="forbid")
    action: Literal["ACK", "NACK"]
    up_to: Literal["1"] | None = Field(None, alias="upTo", description="With ACK")
    reason: Annotated[PlainText, Field(max_length=1000)] | None = Field(None, description="With NACK")


@bp.post("")
@limit_large_requests
@endpoint(
    "Appends one event, or up to 1000 of them: all or none",
    {
        200: ResponseSpec("The id, or the ids", str | list[str]),
        400: responses.INVALID,
        409: responses.CONFLICT,
        413: responses.TOO_LARGE,
        422: responses.KEY_REUSED,
        423: responses.LOCKED,
        503: responses.AWAY,
    },
    path=StreamPath,
    headers=AppendHeaders,
    body=Posted,
    idempotent=True,
)
def append_events(stream: str, headers: AppendHeaders, body: PostedEvent | list[PostedEvent]) -> Response:
    events = body if isinstance(body, list) else [body]
    check_sizes(events, None if events is body else len(request.get_data()))
    if stream in context().settings.reserved:
        raise second_writer()
    append = context().schema_cache.validate(_append_of(stream, headers, events))
    response = json_response(strictjson.dumps(append.ids if events is body else append.ids[0]))
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


def _append_of(stream: str, headers: AppendHeaders, events: list[PostedEvent]) -> Append:
    now = time.time_ns() // 1_000_000
    return Append(
        stream,
        headers.producer,
        g.request_id,
        [event_id(now, os.urandom(10)) for _ in events],
        events,
        expected_position=headers.expected_position,
        caller=caller(),
    )


@bp.get("")
@endpoint(
    "The consumer's next events of a name; or, with `from`, the stream as it is",
    {200: ResponseSpec("Oldest first", list[StoredEvent]), **USUAL},
    path=StreamPath,
    query=ReadQuery,
    headers=ReadHeaders,
)
def read_events(stream: str, query: ReadQuery, headers: ReadHeaders) -> Response:
    if query.from_ is not None:
        return _read_from(stream, query.from_, query)
    if query.event_name is None:
        raise Invalid.field("eventName", "is required")
    if headers.consumer is None:
        raise Invalid.field("X-Consumer-ID", "is required")
    page = _find_unread(stream, query.event_name, headers.consumer, query.limit)
    poller = context().poller
    # A replay or an offset that is set back meanwhile wakes nobody: so read once more when the time is over.
    if not page.documents and query.wait and not poller.is_stopping():
        poller.wait(stream, query.event_name, page.last, query.wait)
        page = _find_unread(stream, query.event_name, headers.consumer, query.limit)
    return json_array(page.documents)


def _read_from(stream: str, position: int, query: ReadQuery) -> Response:
    if query.event_name is not None or query.wait:
        raise Invalid("from: stands without eventName and wait")
    with this_app().database.statements() as tx:
        stream_id = consuming.get_stream_id(tx, stream)
        rows = store.list_after_position(tx, stream_id, position - 1, query.limit)
    return json_array(document for _, _, document in rows)


def _find_unread(stream: str, name: str, consumer: str, limit: int) -> store.Page:
    with this_app().database.statements() as tx:
        page = store.find_unread(tx, stream, name, consumer, limit)
    if page is None:
        raise consuming.unknown_stream(stream)
    return page


@bp.get("/<event>")
@endpoint("One event", {200: ResponseSpec("The event", StoredEvent), **USUAL}, path=EventPath)
def get_event(stream: str, event: str) -> Response:
    id_ = parse_event_id(event)
    with this_app().database.statements() as tx:
        text = store.find_event(tx, stream, id_)
    if text is None:
        raise NotFound("")
    return json_response(text)


@bp.post("/<event>")
@endpoint(
    "Acknowledges or refuses an event",
    {
        200: responses.OK,
        403: responses.FORBIDDEN,
        409: responses.CONFLICT,
        422: responses.KEY_REUSED,
        **USUAL,
    },
    path=EventPath,
    headers=ConsumerHeader,
    form=Acknowledgement,
    idempotent=True,
)
def settle_event(stream: str, event: str, headers: ConsumerHeader, form: Acknowledgement) -> Response:
    if form.action == "NACK" and form.up_to:
        raise Invalid.field("upTo", "goes with ACK only")
    if form.action == "ACK" and form.reason:
        raise Invalid.field("reason", "goes with NACK only")
    id_, consumer, limit, by = parse_event_id(event), headers.consumer, context().settings.nack_limit, caller()

    def settle(tx: Transaction) -> Response:
        now = datetime.now(UTC)
        if form.action == "ACK":
            consuming.acknowledge(tx, stream, id_, consumer, by, up_to=form.up_to == "1", now=now)
        else:
            consuming.refuse(tx, stream, id_, consumer, by, reason=form.reason or "", limit=limit, now=now)
        return ok()

    return run_idempotent(settle)
