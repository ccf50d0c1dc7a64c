"""HTTP routes: parse the request, open the transaction, call an operation, respond."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from flask import Blueprint, Response, current_app, g
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, model_validator

from chassis.db import Database, Transaction
from chassis.errors import Problem
from chassis.runtime.batching import Batcher
from chassis.web.app import json_response, transaction
from chassis.web.idempotency import run_idempotent
from chassis.web.openapi import problem
from chassis.web.validation import DIGITS, INTEGER, ListQuery, ResponseSpec, endpoint
from sequence_service import domain, operations, store
from sequence_service.domain import MAX_BOUND, MAX_PER_REQUEST, MIN_BOUND, Sequence
from sequence_service.operations import IssuedNumbers, NumberRequest

bp = Blueprint("sequence", __name__)

# A key of `app.extensions`.
BATCHERS_KEY = "number_batchers"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class SequencePath(BaseModel):
    name: Name


class NextNumbersRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: Annotated[int, Field(ge=1, le=MAX_PER_REQUEST), INTEGER] = 1


class SequenceDefinition(BaseModel):
    model_config = ConfigDict(extra="forbid")
    minimum: Annotated[int, Field(ge=MIN_BOUND, le=MAX_BOUND), INTEGER]
    maximum: Annotated[int, Field(ge=MIN_BOUND, le=MAX_BOUND), INTEGER]
    cycle: bool = False
    format: Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")] = "{}"

    @model_validator(mode="after")
    def _check_range(self) -> "SequenceDefinition":
        if self.minimum > self.maximum:
            raise ValueError("minimum must be at most maximum")
        return self


class Numbers(BaseModel):
    sequence_no: int | None = Field(None, description="The number, present only if `n` is 1 or absent")
    sequence_list: list[int]


class FormattedNumbers(BaseModel):
    sequence_list: list[int]
    formatted: list[str]


class SequenceState(BaseModel):
    name: str
    minimum: int
    maximum: int
    cycle: bool
    format: str
    last: int | None
    next: int | None
    remaining: int
    cycles: int


class SequenceList(BaseModel):
    sequences: list[SequenceState]
    total: int


_INVALID = problem("The request is invalid; `errors` names the fields")
_UNAVAILABLE = problem("A dependency is unavailable; retry after `Retry-After` seconds")
_NOT_FOUND = problem("Sequence not found")
_UNSUPPORTED_MEDIA_TYPE = problem("`Content-Type` must be `application/json`")
_KEY_REUSED = problem("This `Idempotency-Key` was already used for a different request")


def create_batchers(database: Database) -> dict[str, Batcher[NumberRequest, IssuedNumbers]]:
    """Return a batcher for each built-in sequence, in which concurrent requests to one process share a transaction."""

    def issue_batch(requests: list[NumberRequest]) -> list[IssuedNumbers | Problem]:
        with database.transaction() as tx:
            return operations.issue_batch(tx, requests, datetime.now(UTC))

    return {name: Batcher(issue_batch) for name in domain.BUILT_IN_RANGES}


def _create_built_in_view(name: str) -> Callable[..., Response]:
    n = Field(ge=0, le=domain.max_per_request(name), description="How many numbers to issue")
    query_model: type[BaseModel] = create_model(
        "Count", __config__=ConfigDict(extra="forbid"), n=(Annotated[int, n, DIGITS], 1)
    )

    @endpoint(
        f"Issue the next numbers of the built-in sequence `{name}`",
        {
            200: ResponseSpec("Numbers that no other caller receives within the same cycle", Numbers),
            400: _INVALID,
            503: _UNAVAILABLE,
        },
        query=query_model,
    )
    def issue_built_in(query: Any) -> Response:
        batchers: dict[str, Batcher[NumberRequest, IssuedNumbers]] = current_app.extensions[BATCHERS_KEY]
        numbers = batchers[name].submit(NumberRequest(name, query.n, g.request_id)).numbers if query.n else []
        single = {"sequence_no": numbers[0]} if query.n == 1 else {}
        return _no_store_response({**single, "sequence_list": numbers})

    view: Callable[..., Response] = issue_built_in
    return view


for _name in domain.BUILT_IN_RANGES:
    bp.get(f"/{_name}", endpoint=_name.replace("-", "_"), head=False)(_create_built_in_view(_name))


@bp.get("/sequences")
@endpoint(
    "List all sequences, ordered by name",
    {200: ResponseSpec("One page of sequences", SequenceList), 400: _INVALID, 503: _UNAVAILABLE},
    query=ListQuery,
)
def list_sequences(query: ListQuery) -> dict[str, Any]:
    with transaction() as tx:
        sequences = store.list_sequences(tx, query.limit, query.offset)
        return {"sequences": [_state(sequence) for sequence in sequences], "total": store.count_sequences(tx)}


@bp.get("/sequences/<name>")
@endpoint(
    "Get a sequence",
    {200: ResponseSpec("The sequence", SequenceState), 400: _INVALID, 404: _NOT_FOUND, 503: _UNAVAILABLE},
    path=SequencePath,
)
def get_sequence(name: str) -> dict[str, Any]:
    with transaction() as tx:
        return _state(operations.get_sequence(tx, name))


@bp.put("/sequences/<name>")
@endpoint(
    "Create a sequence, or revive a deleted one where it stopped",
    {
        200: ResponseSpec("A sequence with the same definition exists already", SequenceState),
        201: ResponseSpec("The sequence was created or revived", SequenceState),
        400: _INVALID,
        409: problem("The sequence exists with a different definition; the name of a deleted sequence stays reserved"),
        415: _UNSUPPORTED_MEDIA_TYPE,
        422: _KEY_REUSED,
        503: _UNAVAILABLE,
    },
    path=SequencePath,
    body=SequenceDefinition,
    idempotent=True,
)
def put_sequence(name: str, body: SequenceDefinition) -> Response:
    domain.check_format(body.format)
    definition = Sequence(name, body.minimum, body.maximum, body.cycle, body.format, issued=0)

    def create_in_transaction(tx: Transaction) -> tuple[dict[str, Any], int]:
        sequence, is_new = operations.create_sequence(tx, definition)
        return _state(sequence), 201 if is_new else 200

    return run_idempotent(create_in_transaction)


@bp.delete("/sequences/<name>")
@endpoint(
    "Delete a sequence; its name stays reserved, and its numbers are never issued again",
    {
        204: ResponseSpec("The sequence was deleted"),
        400: _INVALID,
        404: _NOT_FOUND,
        409: problem("Built-in sequences cannot be deleted"),
        503: _UNAVAILABLE,
    },
    path=SequencePath,
)
def delete_sequence(name: str) -> tuple[str, int]:
    with transaction() as tx:
        operations.delete_sequence(tx, name)
    return "", 204


@bp.post("/sequences/<name>/next")
@endpoint(
    "Issue the next numbers of a sequence",
    {
        200: ResponseSpec("Numbers that no other caller receives within the same cycle", FormattedNumbers),
        400: _INVALID,
        404: _NOT_FOUND,
        409: problem("The sequence has fewer numbers left than requested; none was issued"),
        415: _UNSUPPORTED_MEDIA_TYPE,
        422: _KEY_REUSED,
        503: _UNAVAILABLE,
    },
    path=SequencePath,
    body=NextNumbersRequest,
    idempotent=True,
)
def issue_numbers(name: str, body: NextNumbersRequest) -> Response:
    number_request = NumberRequest(name, body.n, g.request_id)
    return run_idempotent(
        lambda tx: _formatted_response(operations.issue_numbers(tx, number_request, datetime.now(UTC)))
    )


def _formatted_response(issued: IssuedNumbers) -> Response:
    numbers = issued.numbers
    formatted = [issued.sequence.format_number(number) for number in numbers]
    return _no_store_response({"sequence_list": numbers, "formatted": formatted})


def _no_store_response(body: dict[str, Any]) -> Response:
    response = json_response(orjson.dumps(body))
    response.headers["Cache-Control"] = "no-store"
    return response


def _state(sequence: Sequence) -> dict[str, Any]:
    return {field: getattr(sequence, field) for field in SequenceState.model_fields}
