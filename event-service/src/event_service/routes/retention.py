"""Routes for the retention of a stream."""

from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from chassis.web.app import transaction
from chassis.web.endpoints import ResponseSpec
from chassis.web.validation import INTEGER, endpoint
from event_service.operations import retention
from event_service.routes import examples
from event_service.routes.context import caller
from event_service.routes.parameters import MAX_NUMBER, StreamPath
from event_service.routes.responses import COMMON_ERRORS, FORBIDDEN, OK, ok

bp = Blueprint("retention", __name__, url_prefix="/api/v1/streams/<stream>/retention")

_MAX_DAYS = 36_500
_MAX_AGE = "Days after which an event is deleted; null if its age does not matter"
_MAX_EVENTS = "Number of events that are kept, the newest; null if their number does not matter"


class RetentionRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    max_age_days: Annotated[int, Field(ge=1, le=_MAX_DAYS), INTEGER] | None = Field(None, description=_MAX_AGE)
    max_events: Annotated[int, Field(ge=1, le=MAX_NUMBER), INTEGER] | None = Field(None, description=_MAX_EVENTS)


class RetentionState(TypedDict):
    max_age_days: Annotated[int | None, Field(description=_MAX_AGE)]
    max_events: Annotated[int | None, Field(description=_MAX_EVENTS)]


@bp.get("")
@endpoint(
    "Get the retention of a stream",
    {
        200: ResponseSpec("The limits; null if there is none", RetentionState, example=examples.RETENTION),
        **COMMON_ERRORS,
    },
    path=StreamPath,
    tag="retention",
    description="Without a limit, the events of the stream are kept indefinitely.",
)
def get_retention(stream: str) -> dict[str, Any]:
    with transaction() as tx:
        return retention.get_retention(tx, stream)


@bp.put("")
@endpoint(
    "Set the retention of a stream: older events are deleted",
    {200: OK, 403: FORBIDDEN, **COMMON_ERRORS},
    path=StreamPath,
    body=RetentionRequest,
    description="Only the owner of the stream and admins may do this. An event is deleted within a minute after one of "
    "the limits applies to it, the oldest first. A limit that is null or omitted does not apply; without any, the "
    "events are kept indefinitely.",
    tag="retention",
    example=examples.RETENTION,
)
def set_retention(stream: str, body: RetentionRequest) -> Response:
    with transaction() as tx:
        retention.put_retention(tx, stream, caller(), body.max_age_days, body.max_events)
    return ok()


@bp.delete("")
@endpoint(
    "Keep the events of a stream indefinitely",
    {204: ResponseSpec("The stream has no retention"), 403: FORBIDDEN, **COMMON_ERRORS},
    path=StreamPath,
    tag="retention",
    description="Only the owner of the stream and admins may do this. Events that were deleted already are not "
    "restored.",
)
def delete_retention(stream: str) -> tuple[str, int]:
    with transaction() as tx:
        retention.put_retention(tx, stream, caller(), None, None)
    return "", 204
