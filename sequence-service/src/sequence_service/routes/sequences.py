"""Sequences: list, create, change and delete."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, g
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from chassis.db import Transaction
from chassis.timestamps import TimezoneName
from chassis.web.app import transaction, username
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.idempotency import run_idempotent
from chassis.web.validation import INTEGER, ListQuery, endpoint
from sequence_service.domain.sequences import MAX_BOUND, MIN_BOUND, Sequence
from sequence_service.operations import sequences as operations
from sequence_service.operations.sequences import Change
from sequence_service.routes import examples, responses
from sequence_service.store import sequences

bp = Blueprint("sequences", __name__)

Bound = Annotated[int, Field(ge=MIN_BOUND, le=MAX_BOUND), INTEGER]
Period = Literal["year", "month", "day"]
_FORMAT = "One number field, such as `{}` or `{:05d}`, and with `reset` the fields of its period, such as `{year}`"


class SequenceDefinition(BaseModel):
    model_config = ConfigDict(extra="forbid")
    minimum: Annotated[Bound, Field(description="The first number")]
    maximum: Annotated[Bound, Field(description="The last number")]
    cycle: Annotated[bool, Field(description="Continue with the minimum after the maximum")] = False
    format: Annotated[
        str,
        StringConstraints(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$"),
        Field(description=_FORMAT, examples=["INV-{:05d}", "{year}{month:02d}-{:04d}"]),
    ] = "{}"
    reset: Annotated[Period | None, Field(description="Restart at the minimum in each year, month or day")] = None
    timezone: Annotated[TimezoneName, Field(description="The time zone in which the periods begin")] = "UTC"
    audit: Annotated[bool, Field(description="Record who received which numbers")] = False

    @model_validator(mode="after")
    def _check_range(self) -> "SequenceDefinition":
        if self.minimum > self.maximum:
            raise ValueError("minimum must be at most maximum")
        return self


class SequenceChange(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"anyOf": [{"required": ["next"]}, {"required": ["maximum"]}]}
    )
    # Only an absent value leaves the sequence as it is; null is rejected.
    next: Bound = Field(None, description="Skip forward to this number")  # type: ignore[assignment]
    maximum: Bound = Field(None, description="Extend the range to this number")  # type: ignore[assignment]

    @model_validator(mode="after")
    def _check_change(self) -> "SequenceChange":
        if not self.model_fields_set:
            raise ValueError("must contain next, maximum, or both")
        return self


class SequenceState(BaseModel):
    name: str
    minimum: int
    maximum: int
    cycle: bool
    format: str
    reset: Period | None
    timezone: str
    audit: bool
    period: str | None = Field(description="The current period: 2026, 2026-11 or 2026-11-25; null without `reset`")
    last: int | None = Field(description="The last number issued in this period; null before the first")
    next: int | None = Field(description="The number that is issued next; null if no number is left")
    remaining: int = Field(description="Numbers that are left in this cycle or period")
    cycles: int = Field(description="How often the sequence has wrapped around")


class SequenceList(BaseModel):
    sequences: list[SequenceState]
    total: int


@bp.get("/sequences")
@endpoint(
    "List all sequences, ordered by name",
    {
        200: ResponseSpec("One page of sequences", SequenceList, example=examples.LIST),
        400: responses.INVALID,
        503: responses.UNAVAILABLE,
    },
    query=ListQuery,
    tag="sequences",
    description="Includes the four built-in sequences, which are named like their paths.",
)
def list_sequences(query: ListQuery) -> dict[str, Any]:
    with transaction() as tx:
        page = sequences.list_sequences(tx, query.limit, query.offset)
        return {"sequences": [_state(sequence) for sequence in page], "total": sequences.count_sequences(tx)}


@bp.get("/sequences/<name>")
@endpoint(
    "Get a sequence",
    {
        200: ResponseSpec("The sequence", SequenceState, example=examples.STATE),
        400: responses.INVALID,
        404: responses.NOT_FOUND,
        503: responses.UNAVAILABLE,
    },
    path=responses.SequencePath,
    tag="sequences",
    description="The state may have changed when the response arrives: only issuing a number reserves it.",
)
def get_sequence(name: str) -> dict[str, Any]:
    with transaction() as tx:
        return _state(operations.get_sequence(tx, name))


@bp.put("/sequences/<name>")
@endpoint(
    "Create a sequence, or revive a deleted one where it stopped",
    {
        200: ResponseSpec("A sequence with the same definition exists already", SequenceState, example=examples.STATE),
        201: ResponseSpec("The sequence was created or revived", SequenceState, example=examples.CREATED),
        400: responses.INVALID,
        409: problem(
            "DefinitionDiffers",
            "The sequence exists with a different definition; the name of a deleted sequence stays reserved. "
            f"{responses.IN_PROGRESS}",
        ),
        415: responses.UNSUPPORTED_MEDIA_TYPE,
        422: responses.KEY_REUSED,
        503: responses.UNAVAILABLE,
    },
    path=responses.SequencePath,
    body=SequenceDefinition,
    idempotent=True,
    tag="sequences",
    example=examples.DEFINITION,
    description="Repeating the request with the same definition changes nothing. A deleted sequence continues "
    "after the last number that it issued, and only with the definition that it had.",
)
def create_sequence(name: str, body: SequenceDefinition) -> Response:
    definition = Sequence(name, **body.model_dump())

    def create_in_transaction(tx: Transaction) -> tuple[dict[str, Any], int]:
        sequence, is_new = operations.create_sequence(tx, definition)
        return _state(sequence), 201 if is_new else 200

    return run_idempotent(create_in_transaction)


@bp.patch("/sequences/<name>")
@endpoint(
    "Skip forward to a number, or extend the range of a sequence",
    {
        200: ResponseSpec("The changed sequence", SequenceState, example=examples.CHANGED),
        400: responses.INVALID,
        404: responses.NOT_FOUND,
        409: problem(
            "ChangeRejected",
            "The number was passed already, the maximum is less than the current one, or the sequence is built in. "
            f"{responses.IN_PROGRESS}",
        ),
        415: responses.UNSUPPORTED_MEDIA_TYPE,
        422: responses.KEY_REUSED,
        503: responses.UNAVAILABLE,
    },
    path=responses.SequencePath,
    body=SequenceChange,
    idempotent=True,
    tag="sequences",
    example=examples.CHANGE,
    description="A sequence never moves backwards, so that no number is issued twice. Each change is recorded as "
    "the event `SequenceAdvanced`. The built-in sequences cannot be changed.",
)
def update_sequence(name: str, body: SequenceChange) -> Response:
    change = Change(body.next, body.maximum, username(), g.request_id)
    return run_idempotent(lambda tx: _state(operations.change_sequence(tx, name, change, datetime.now(UTC))))


@bp.delete("/sequences/<name>")
@endpoint(
    "Delete a sequence; its name stays reserved, and its numbers are never issued again",
    {
        204: ResponseSpec("The sequence was deleted"),
        400: responses.INVALID,
        404: responses.NOT_FOUND,
        409: problem("BuiltIn", "Built-in sequences cannot be deleted"),
        503: responses.UNAVAILABLE,
    },
    path=responses.SequencePath,
    tag="sequences",
    description="Creating it again with the same definition revives it. The built-in sequences cannot be deleted.",
)
def delete_sequence(name: str) -> tuple[str, int]:
    with transaction() as tx:
        operations.delete_sequence(tx, name)
    return "", 204


def _state(sequence: Sequence) -> dict[str, Any]:
    return {field: getattr(sequence, field) for field in SequenceState.model_fields}
