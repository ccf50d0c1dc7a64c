"""Append, read, acknowledge."""

import os
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chassis import strictjson
from chassis.errors import Invalid, NotFound
from chassis.web.app import json_response, this_app
from chassis.web.idempotency import once
from chassis.web.validation import DIGITS, Answer, PlainText, endpoint
from event_service.domain.events import LARGEST_EVENT_BYTES, Append, Posted, StoredEvent, event_ids, lines_of, runs_of
from event_service.domain.names import Consumer, Name, Producer
from event_service.domain.ownership import Caller
from event_service.operations import consuming
from event_service.routes.answers import (
    AWAY,
    CONFLICT,
    FORBIDDEN,
    INVALID,
    KEY_REUSED,
    LARGEST_NUMBER,
    LOCKED,
    OK,
    TOO_LARGE,
    UNKNOWN,
    USUAL,
    ConsumerHeader,
    EventPath,
    StreamPath,
    caller,
    existing_id,
    few_large_at_once,
    ok,
    web,
)
from event_service.store import reading

bp = Blueprint("events", __name__, url_prefix="/api/v1/streams/<stream>/events")


class AppendHeaders(BaseModel):
    producer: Producer = Field(alias="X-Producer-ID")
    expected_position: Annotated[int, Field(ge=0, le=LARGEST_NUMBER), DIGITS] | None = Field(
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
    from_: Annotated[int, Field(ge=1, le=LARGEST_NUMBER), DIGITS] | None = Field(
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
@few_large_at_once
@endpoint(
    "Appends one event, or up to 1000 of them: all or none",
    {
        200: Answer("The id, or the ids", str | list[str]),
        400: INVALID,
        409: CONFLICT,
        413: TOO_LARGE,
        422: KEY_REUSED,
        423: LOCKED,
        503: AWAY,
    },
    path=StreamPath,
    headers=AppendHeaders,
    body=Posted,
    idempotent=True,
)
def append_events(stream: str, headers: AppendHeaders, body: Any) -> Response:
    append, answer = appending(stream, headers.producer, caller(), g.request_id, body, len(request.get_data()))
    appender = web().appender
    if headers.expected_position is None and "Idempotency-Key" not in request.headers:
        appender.append(append)
        return json_response(answer)
    checked = appender.checked(replace(append, expected_position=headers.expected_position))

    def append_alone(tx: Any) -> Response:
        appender.append_alone(tx, checked)
        return json_response(answer)

    return once(append_alone)


def appending(stream: str, producer: str, caller: Caller, request_id: str, body: Any, size: int) -> tuple[Append, str]:
    """What a checked body of so many bytes appends, and what is answered once it has."""
    events = body if isinstance(body, list) else [body]
    ids = event_ids(time.time_ns() // 1_000_000, len(events), os.urandom(8))
    lines = lines_of(events)
    _check_sizes(size if events is not body else 0, lines)
    answer = strictjson.dumps(ids) if events is body else f'"{ids[0]}"'
    return Append(stream, producer, request_id, events, runs_of(events, ids, lines), caller=caller), answer


def _check_sizes(sent: int, lines: str) -> None:
    """Of one event as it was sent; of several, as each is kept."""
    largest = sent
    if not sent and len(lines) * 4 > LARGEST_EVENT_BYTES:
        largest = max(len(line.encode()) for line in lines.split("\n"))
    if largest > LARGEST_EVENT_BYTES:
        raise Invalid(f"an event may have {LARGEST_EVENT_BYTES} bytes at the most", status=413)


@bp.get("")
@endpoint(
    "The consumer's next events of a name; or, with `from`, the stream as it is",
    {200: Answer("Oldest first", list[StoredEvent]), **USUAL},
    path=StreamPath,
    query=ReadQuery,
    headers=ReadHeaders,
)
def read_events(stream: str, query: ReadQuery, headers: ReadHeaders) -> Response:
    if query.from_ is not None:
        return _read_from(stream, query.from_, query)
    if query.event_name is None:
        raise Invalid.field("eventName", "is missing")
    if headers.consumer is None:
        raise Invalid.field("X-Consumer-ID", "is missing")
    page = _page(stream, query.event_name, headers.consumer, query.limit)
    # Somebody may set the offset back meanwhile: so it looks once more when the time is up.
    if page.is_empty and query.wait and not web().watch.is_stopping():
        web().watch.wait(stream, query.event_name, page.last, query.wait)
        page = _page(stream, query.event_name, headers.consumer, query.limit)
    return json_response(page.text)


def _read_from(stream: str, position: int, query: ReadQuery) -> Response:
    if query.event_name is not None or query.wait:
        raise Invalid("from: stands without eventName and wait")
    with this_app().database.statements() as tx:
        text = reading.find_page_from(tx, stream, position, query.limit)
    if text is None:
        raise consuming.unknown_stream(stream)
    return json_response(text)


def _page(stream: str, name: str, consumer: str, limit: int) -> reading.Page:
    with this_app().database.statements() as tx:
        page = reading.find_page_for(tx, stream, name, consumer, limit)
    if page is None:
        raise consuming.unknown_stream(stream)
    return page


@bp.get("/<event>")
@endpoint("One event", {200: Answer("The event", StoredEvent), **USUAL}, path=EventPath)
def get_event(stream: str, event: str) -> Response:
    id_ = existing_id(event)
    with this_app().database.statements() as tx:
        text = reading.find_event(tx, stream, id_)
    if text is None:
        raise NotFound("")
    return json_response(text)


@bp.post("/<event>")
@endpoint(
    "Acknowledges or refuses an event",
    {200: OK, 400: INVALID, 403: FORBIDDEN, 404: UNKNOWN, 409: CONFLICT, 422: KEY_REUSED, 503: AWAY},
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
    id_, consumer, limit, by = existing_id(event), headers.consumer, web().nack_limit, caller()

    def settle(tx: Any) -> Response:
        now = datetime.now(UTC)
        if form.action == "ACK":
            consuming.acknowledge(tx, stream, id_, consumer, by, up_to=form.up_to == "1", now=now)
        else:
            consuming.refuse(tx, stream, id_, consumer, by, reason=form.reason or "", limit=limit, now=now)
        return ok()

    return once(settle)
