"""Routes for the consumers of a stream: their offsets and their parked events."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, NotRequired

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from typing_extensions import TypedDict

from chassis.timestamps import parse_rfc_3339
from chassis.web.app import transaction
from chassis.web.endpoints import ResponseSpec
from chassis.web.validation import ListQuery, endpoint
from event_service.domain.events import StoredEvent, Time
from event_service.domain.names import Consumer, Name
from event_service.operations import consumers as operations
from event_service.operations import consuming
from event_service.routes import examples
from event_service.routes.context import caller
from event_service.routes.parameters import MAX_NUMBER, ConsumerPath, ParkedPath, StreamPath, parse_event_id
from event_service.routes.responses import COMMON_ERRORS, FORBIDDEN, OK, ok
from event_service.store import consumers as store
from event_service.store import parked

bp = Blueprint("consumers", __name__, url_prefix="/api/v1/streams/<stream>/consumers")


_MISSED = "Number of events that retention deleted before they were acknowledged; omitted if there are none"


class BlockingEvent(TypedDict):
    """An event that the consumer has sent a NACK for; it blocks the later events of its name."""

    event: Annotated[str, Field(description="ID of the event")]
    since: Time
    nacks: Annotated[int, Field(description="Number of NACKs of this event")]
    reason: Annotated[str, Field(description="That of the last NACK; may be empty")]


class ConsumerState(TypedDict):
    consumer: str
    eventName: Annotated[str, Field(description="An event name, or `*` for all names")]
    offset: Annotated[
        int, Field(description="Number of the last acknowledged event: its sequence, or position for `*`")
    ]
    lag: Annotated[int, Field(description="Number of events after the offset")]
    moved_at: Time
    stuck: Annotated[BlockingEvent | None, Field(description="The event that blocks later ones, if there is one")]
    missed: NotRequired[Annotated[int, Field(description=_MISSED)]]
    parked: NotRequired[Annotated[int, Field(description="Number of parked events; omitted if there are none")]]


class ConsumersQuery(ListQuery):
    consumer: Consumer | None = Field(None, description="Only the offsets of this consumer")


class ConsumersPage(TypedDict):
    consumers: list[ConsumerState]
    total: int


class ParkedEvent(StoredEvent):
    nacks: Annotated[int, Field(description="Number of NACKs that the consumer sent")]
    reason: Annotated[str, Field(description="That of the last NACK; may be empty")]
    parked_at: Time


class ParkedPage(TypedDict):
    parked: list[ParkedEvent]
    total: int


def _parse_offset(value: Any) -> int | datetime | None:
    """Return a number, a time, or None for the end."""
    if value == "end":
        return None
    if isinstance(value, dict) and value.keys() == {"time"}:
        return parse_rfc_3339(value["time"])
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if type(number) is int and 0 <= number <= MAX_NUMBER:
        return number
    raise ValueError(f'must be an integer between 0 and {MAX_NUMBER}, "end", or {{"time": "<RFC 3339>"}}')


OffsetTarget = Annotated[
    int | datetime | None,
    PlainValidator(_parse_offset),
    WithJsonSchema(
        {
            "description": "The last number to skip: a sequence, or for `*` a position; `end`; or a time, before whose "
            "first event the consumer continues",
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER},
                {"type": "string", "enum": ["end"]},
                {
                    "type": "object",
                    "properties": {"time": {"type": "string", "format": "date-time"}},
                    "required": ["time"],
                    "additionalProperties": False,
                },
            ],
        }
    ),
]


class OffsetRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    event_name: Name = Field(alias="eventName", description="An event name, or `*` for all names")
    offset: OffsetTarget


@bp.get("")
@endpoint(
    "List the consumers of a stream",
    {200: ResponseSpec("One page of consumers", ConsumersPage, example=examples.CONSUMERS), **COMMON_ERRORS},
    path=StreamPath,
    query=ConsumersQuery,
    tag="consumers",
    description="One entry per consumer and event name, with its lag and the event that blocks it.",
)
def list_consumers(stream: str, query: ConsumersQuery) -> dict[str, Any]:
    with transaction() as tx:
        stream_id = consuming.get_stream_id(tx, stream)
        rows = store.list_consumers(tx, stream_id, query.consumer, query.limit, query.offset)
        total = store.count_consumers(tx, stream_id, query.consumer)
    return {"consumers": [_state(row) for row in rows], "total": total}


def _state(row: dict[str, Any]) -> dict[str, Any]:
    stuck = {name: row.pop(name) for name in BlockingEvent.__annotations__}
    counts = {name: row.pop(name) for name in ("missed", "parked")}
    non_zero_counts = {name: count for name, count in counts.items() if count}
    return {**row, "stuck": stuck if stuck["nacks"] else None, **non_zero_counts}


@bp.put("/<consumer>/offset")
@endpoint(
    "Set an offset, to replay or to skip events",
    {200: OK, 403: FORBIDDEN, **COMMON_ERRORS},
    path=ConsumerPath,
    body=OffsetRequest,
    tag="consumers",
    example=examples.OFFSET,
    description="Only the owner of the consumer and admins may move its offset; the first user who acknowledges "
    "an event with it or sets its offset owns it. Leases end, and events that are parked after the new offset are "
    "unparked, because the consumer reads them again.",
)
def set_offset(stream: str, consumer: str, body: OffsetRequest) -> Response:
    with transaction() as tx:
        operations.put_offset(
            tx, stream, consumer, caller(), name=body.event_name, target=body.offset, now=datetime.now(UTC)
        )
    return ok()


@bp.get("/<consumer>/parked")
@endpoint(
    "List the parked events of a consumer",
    {
        200: ResponseSpec("One page of parked events, oldest first", ParkedPage, example=examples.PARKED_EVENTS),
        **COMMON_ERRORS,
    },
    path=ConsumerPath,
    query=ListQuery,
    tag="consumers",
    description="An event is parked after too many NACKs of this consumer; other consumers are not affected.",
)
def list_parked_events(stream: str, consumer: str, query: ListQuery) -> dict[str, Any]:
    with transaction() as tx:
        stream_id = consuming.get_stream_id(tx, stream)
        rows = parked.list_parked(tx, stream_id, consumer, query.limit, query.offset)
        total = parked.count_parked(tx, stream_id, consumer)
    return {"parked": [{**json.loads(row.pop("document")), **row} for row in rows], "total": total}


@bp.post("/<consumer>/parked/<event>/replay")
@endpoint(
    "Replay a parked event: subsequent reads of the consumer return it first",
    {200: OK, 403: FORBIDDEN, **COMMON_ERRORS},
    path=ParkedPath,
    tag="consumers",
    description="The offset does not change. The event stays first until it is acknowledged or parked again; "
    "replaying it twice has the same effect as once.",
)
def replay_parked_event(stream: str, consumer: str, event: str) -> Response:
    event_id = parse_event_id(event)
    with transaction() as tx:
        operations.replay_parked(tx, stream, event_id, consumer, caller(), datetime.now(UTC))
    return ok()


@bp.post("/<consumer>/parked/replay")
@endpoint(
    "Replay all parked events of a consumer: subsequent reads return them first, in order",
    {200: OK, 403: FORBIDDEN, **COMMON_ERRORS},
    path=ConsumerPath,
    tag="consumers",
    description="The offset does not change, and a repeated request has the same effect as one.",
)
def replay_parked_events(stream: str, consumer: str) -> Response:
    with transaction() as tx:
        operations.replay_all_parked(tx, stream, consumer, caller(), datetime.now(UTC))
    return ok()


@bp.delete("/<consumer>")
@endpoint(
    "Delete a consumer: its offsets, leases, parked events and owner",
    {204: ResponseSpec("The consumer has no data in this stream"), 403: FORBIDDEN, **COMMON_ERRORS},
    path=ConsumerPath,
    tag="consumers",
    description="Only the owner of the consumer and admins may delete it. A consumer that reads again begins with "
    "the first event.",
)
def delete_consumer(stream: str, consumer: str) -> tuple[str, int]:
    with transaction() as tx:
        operations.delete_consumer(tx, stream, consumer, caller())
    return "", 204
