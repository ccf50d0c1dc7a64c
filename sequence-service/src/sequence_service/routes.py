"""HTTP in: parse, draw, answer."""

from collections.abc import Sequence as Listing
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
from sequence_service.domain import LARGEST, MOST_AT_ONCE, SMALLEST, Sequence
from sequence_service.operations import Draw, Drawn

bp = Blueprint("sequence", __name__)

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class SequencePath(BaseModel):
    name: Name


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: Annotated[int, Field(ge=1, le=MOST_AT_ONCE), INTEGER] = 1


class Spec(BaseModel):
    model_config = ConfigDict(extra="forbid")
    minimum: Annotated[int, Field(ge=SMALLEST, le=LARGEST), INTEGER]
    maximum: Annotated[int, Field(ge=SMALLEST, le=LARGEST), INTEGER]
    cycle: bool = False
    format: Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")] = "{}"

    @model_validator(mode="after")
    def _range(self) -> "Spec":
        if self.minimum > self.maximum:
            raise ValueError("minimum must be at most maximum")
        return self


class Numbers(BaseModel):
    sequence_no: int | None = Field(None, description="Only where one was wanted")
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


class Sequences(BaseModel):
    sequences: list[SequenceState]
    total: int


_INVALID = problem("The request breaks a rule; `errors` names the fields")
_AWAY = problem("A dependency is away; try again after `Retry-After` seconds")
_UNKNOWN = problem("There is no such sequence")


def batchers(database: Database) -> dict[str, Batcher[Draw, Drawn]]:
    """Return one for each sequence of the contract: draws that arrive together share a transaction."""

    def draw_together(draws: list[Draw]) -> Listing[Drawn | Problem]:
        with database.transaction() as tx:
            return operations.draw_all(tx, draws, datetime.now(UTC))

    return {name: Batcher(draw_together) for name in domain.BUILT_IN}


def _draws(name: str) -> Any:
    how_many = Field(ge=0, le=domain.most_at_once(name), description="How many")
    count: type[BaseModel] = create_model(
        "Count", __config__=ConfigDict(extra="forbid"), n=(Annotated[int, how_many, DIGITS], 1)
    )

    @endpoint(
        f"The next numbers of the sequence {name}",
        {200: ResponseSpec("Numbers that nobody else gets", Numbers), 400: _INVALID, 503: _AWAY},
        query=count,
    )
    def draw(query: Any) -> Response:
        draws: dict[str, Batcher[Draw, Drawn]] = current_app.extensions["draws"]
        numbers = draws[name].submit(Draw(name, query.n, g.request_id)).numbers if query.n else []
        single = {"sequence_no": numbers[0]} if query.n == 1 else {}
        return _uncacheable({**single, "sequence_list": numbers})

    return draw


for _name in domain.BUILT_IN:
    bp.get(f"/{_name}", endpoint=_name.replace("-", "_"), head=False)(_draws(_name))


@bp.get("/sequences")
@endpoint(
    "All sequences, by name",
    {200: ResponseSpec("A page of them", Sequences), 400: _INVALID, 503: _AWAY},
    query=ListQuery,
)
def list_sequences(query: ListQuery) -> Any:
    with transaction() as tx:
        found = store.list_sequences(tx, query.limit, query.offset)
        return {"sequences": [_state(sequence) for sequence in found], "total": store.count_sequences(tx)}


@bp.get("/sequences/<name>")
@endpoint(
    "One sequence",
    {200: ResponseSpec("The sequence", SequenceState), 400: _INVALID, 404: _UNKNOWN, 503: _AWAY},
    path=SequencePath,
)
def get_sequence(name: str) -> Any:
    with transaction() as tx:
        return _state(operations.get_sequence(tx, name))


@bp.put("/sequences/<name>")
@endpoint(
    "Creates a sequence, or revives a deleted one where it stopped",
    {
        200: ResponseSpec("It stood already, the same", SequenceState),
        201: ResponseSpec("Created or revived", SequenceState),
        400: _INVALID,
        409: problem("The name has another definition; that of a deleted sequence stays reserved"),
        415: problem("The body is no JSON"),
        422: problem("The Idempotency-Key was used for something else"),
        503: _AWAY,
    },
    path=SequencePath,
    body=Spec,
    idempotent=True,
)
def put_sequence(name: str, body: Spec) -> Any:
    domain.check_format(body.format)
    wanted = Sequence(name, body.minimum, body.maximum, body.cycle, body.format, issued=0)

    def make(tx: Transaction) -> Any:
        sequence, is_new = operations.create_sequence(tx, wanted)
        return _state(sequence), 201 if is_new else 200

    return run_idempotent(make)


@bp.delete("/sequences/<name>")
@endpoint(
    "Deletes a sequence; its name stays reserved, and its numbers are never issued again",
    {204: ResponseSpec("Deleted"), 400: _INVALID, 404: _UNKNOWN, 409: problem("It cannot be deleted"), 503: _AWAY},
    path=SequencePath,
)
def delete_sequence(name: str) -> Any:
    with transaction() as tx:
        operations.delete_sequence(tx, name)
    return "", 204


@bp.post("/sequences/<name>/next")
@endpoint(
    "The next numbers of a sequence",
    {
        200: ResponseSpec("Numbers that nobody else gets", FormattedNumbers),
        400: _INVALID,
        404: _UNKNOWN,
        409: problem("It is exhausted; nothing was taken"),
        415: problem("The body is no JSON"),
        422: problem("The Idempotency-Key was used for something else"),
        503: _AWAY,
    },
    path=SequencePath,
    body=Wanted,
    idempotent=True,
)
def take_numbers(name: str, body: Wanted) -> Any:
    wanted = Draw(name, body.n, g.request_id)
    return run_idempotent(lambda tx: _formatted(operations.draw(tx, wanted, datetime.now(UTC))))


def _formatted(drawn: Drawn) -> Response:
    numbers = drawn.numbers
    body = {"sequence_list": numbers, "formatted": [drawn.sequence.formatted(number) for number in numbers]}
    return _uncacheable(body)


def _uncacheable(body: dict[str, Any]) -> Response:
    response = json_response(orjson.dumps(body))
    response.headers["Cache-Control"] = "no-store"
    return response


def _state(sequence: Sequence) -> dict[str, Any]:
    return {field: getattr(sequence, field) for field in SequenceState.model_fields}
