"""The route to acknowledge an event, or to report a failed attempt."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis.db import Transaction
from chassis.errors import Invalid
from chassis.web.idempotency import run_idempotent
from chassis.web.validation import PlainText, endpoint
from event_service.domain.names import Name
from event_service.operations import consuming
from event_service.routes import examples, responses
from event_service.routes.context import caller, context
from event_service.routes.parameters import SECONDS, ConsumerHeader, EventPath, parse_event_id
from event_service.routes.responses import COMMON_ERRORS, ok

bp = Blueprint("acknowledgements", __name__, url_prefix="/api/v1/streams/<stream>/events")


class Acknowledgement(BaseModel):
    model_config = ConfigDict(extra="forbid")
    action: Annotated[Literal["ACK", "NACK"], Field(description="Whether the event was processed, or failed")]
    event_name: Name | None = Field(
        None,
        alias="eventName",
        description="The offset that the request is for: the name of the event, or `*`. By default `*` for a consumer "
        "that reads only all names, and otherwise the name of the event",
    )
    up_to: Literal["1"] | None = Field(
        None, alias="upTo", description="Only with ACK: acknowledge all events up to this one"
    )
    reason: Annotated[PlainText, Field(max_length=1000)] | None = Field(None, description="Only with NACK")
    delay: Annotated[float, Field(ge=0, le=86400), SECONDS] | None = Field(
        None,
        description="Only with NACK: seconds after which reads return the event again; by default 1, 5, 25 and 125 for "
        "the first NACK to the fourth",
    )


@bp.post("/<event>")
@endpoint(
    "Acknowledge an event, or report a failed attempt (NACK)",
    {
        200: responses.OK,
        403: responses.FORBIDDEN,
        409: responses.KEY_IN_USE,
        422: responses.KEY_REUSED,
        **COMMON_ERRORS,
    },
    path=EventPath,
    headers=ConsumerHeader,
    form=Acknowledgement,
    idempotent=True,
    tag="consumers",
    example=examples.ACKNOWLEDGEMENT,
    description="In-order consumers acknowledge the event that follows their offset; with `upTo`, all events up "
    "to this one. Leased events are acknowledged in any order. Acknowledging an event again changes "
    "nothing, and an offset never moves backwards. After too many NACKs (5 by default) the event is "
    "parked for this consumer, and the offset moves past it.",
)
def acknowledge_event(stream: str, event: str, headers: ConsumerHeader, form: Acknowledgement) -> Response:
    _check_combination(form)
    event_id, consumer = parse_event_id(event), headers.consumer
    limit = context().settings.nack_limit

    def acknowledge_in_transaction(tx: Transaction) -> Response:
        now, name = datetime.now(UTC), form.event_name
        if form.action == "ACK":
            consuming.acknowledge(tx, stream, event_id, consumer, caller(), name=name, up_to=form.up_to == "1", now=now)
        else:
            consuming.nack(
                tx,
                stream,
                event_id,
                consumer,
                caller(),
                name=name,
                reason=form.reason or "",
                delay_seconds=form.delay,
                limit=limit,
                now=now,
            )
        return ok()

    return run_idempotent(acknowledge_in_transaction)


def _check_combination(form: Acknowledgement) -> None:
    if form.action == "NACK" and form.up_to:
        raise Invalid.field("upTo", "must not be combined with NACK")
    if form.action == "ACK" and form.reason:
        raise Invalid.field("reason", "must not be combined with ACK")
    if form.action == "ACK" and form.delay is not None:
        raise Invalid.field("delay", "must not be combined with ACK")
