"""Routes to append, read and acknowledge events."""

import os
import time
from typing import Annotated

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, ConfigDict, Field

from chassis import strictjson
from chassis.db import Transaction
from chassis.errors import Invalid
from chassis.runtime import tracing
from chassis.web.app import json_response
from chassis.web.endpoints import ResponseSpec
from chassis.web.idempotency import run_idempotent
from chassis.web.openapi_components import outcome_unknown
from chassis.web.validation import DIGITS, endpoint
from event_service.batcher import MAX_BATCHED_EVENTS, AppendFailed
from event_service.domain.events import Append, AppendBody, PostedEvent, StoredEvent, check_sizes, create_event_id
from event_service.domain.names import Consumer, Name, Producer
from event_service.domain.ownership import second_writer_error
from event_service.domain.schemas import SchemasChanged
from event_service.operations import events as operations
from event_service.routes import examples, responses
from event_service.routes.context import caller, context, limit_large_requests
from event_service.routes.history import HistoryQuery, read_history
from event_service.routes.parameters import MAX_NUMBER, SECONDS, StreamPath
from event_service.routes.reading import read_for_consumer
from event_service.routes.responses import COMMON_ERRORS, json_array

bp = Blueprint("events", __name__, url_prefix="/api/v1/streams/<stream>/events")


_WAIT = "Seconds to wait for the first event if there is none"


class AppendHeaders(BaseModel):
    producer: Producer = Field(
        alias="X-Producer-ID", description="ID of the producer, which owns the stream", examples=["d3b07384"]
    )
    expected_position: Annotated[int, Field(ge=0, le=MAX_NUMBER), DIGITS] | None = Field(
        None, alias="X-Expected-Position", description="Append only if the last event of the stream has this position"
    )


class ReadQuery(HistoryQuery):
    model_config = ConfigDict(extra="forbid")
    event_name: Name | None = Field(
        None,
        alias="eventName",
        description="An event name, or `*` for all names. Required without `from`, `before` and `from_time`",
    )
    wait: Annotated[float, Field(ge=0, le=30, description=_WAIT), SECONDS] = 0
    lease: Annotated[float, Field(ge=1, le=3600), SECONDS] | None = Field(
        None,
        description="Seconds for which no other reader with this `X-Consumer-ID` receives the same events; acknowledge "
        "them in any order. A consumer uses either leases or in-order reads for a name",
    )


class ReadHeaders(BaseModel):
    consumer: Consumer | None = Field(None, alias="X-Consumer-ID", description="Required with `eventName`")


@bp.post("")
@limit_large_requests
@endpoint(
    "Append one event, or an array of up to 1000, all or nothing",
    {
        200: ResponseSpec("The ID of the event, or an array of the IDs", str | list[str], example=examples.EVENT_ID),
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
    tag="events",
    example=examples.POSTED_EVENT,
    description="The first event creates the stream, which belongs to its producer and user from then on; appends "
    "of others return 423. After a 200 the events are durable and visible to readers. An event may "
    "have 256 KiB, a request 1 MiB. With `X-Expected-Position`, nothing is appended if the stream is "
    "at another position. Send an `Idempotency-Key`: a repeat returns the same IDs and appends "
    "nothing.",
)
def append_events(stream: str, headers: AppendHeaders, body: PostedEvent | list[PostedEvent]) -> Response:
    events = body if isinstance(body, list) else [body]
    is_array = events is body
    check_sizes(body, len(request.get_data()))
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
        traceparent=tracing.current(),
    )


@bp.get("")
@endpoint(
    "Read the next events of one name for a consumer, or all events from or before a position, or from a time",
    {
        200: ResponseSpec(
            "Events, oldest first, or with `before` newest first", list[StoredEvent], example=[examples.EVENT]
        ),
        403: responses.FORBIDDEN,
        409: responses.MIXED_READS,
        504: outcome_unknown(responses.UNAVAILABLE),
        **COMMON_ERRORS,
    },
    path=StreamPath,
    query=ReadQuery,
    headers=ReadHeaders,
    tag="events",
    description="For a consumer (`eventName` and `X-Consumer-ID`), returns the events after its offset, which "
    "only an acknowledgement moves: the same request returns the same events. `wait` waits for the "
    "first event; with `lease`, the readers of a consumer divide the events between them. With "
    "`from`, `before` or `from_time` instead, reads the stream regardless of any consumer.",
)
def read_events(stream: str, query: ReadQuery, headers: ReadHeaders) -> Response:
    if query.start:
        if query.event_name is not None or query.wait or query.lease:
            raise Invalid.field(query.start, "must not be combined with eventName, wait or lease")
        return read_history(stream, query)
    if query.name is not None:
        raise Invalid.field("name", "requires from, before or from_time")
    if query.event_name is None:
        raise Invalid.field("eventName", "is required")
    if headers.consumer is None:
        raise Invalid.field("X-Consumer-ID", "is required")
    documents = read_for_consumer(
        stream,
        query.event_name,
        headers.consumer,
        limit=query.limit,
        wait_seconds=query.wait,
        lease_seconds=query.lease,
    )
    return json_array(documents)
