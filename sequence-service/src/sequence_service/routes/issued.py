"""The record of who received which numbers."""

import re
from typing import Annotated, Any

from flask import Blueprint
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chassis.web.app import transaction
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.validation import DIGITS, endpoint
from sequence_service.domain.sequences import MAX_BOUND, MIN_BOUND
from sequence_service.operations import sequences
from sequence_service.routes import examples, responses

bp = Blueprint("issued", __name__)

_INTEGER = re.compile(r"-?[0-9]{1,20}\Z")


def _parse_integer(value: Any) -> Any:
    if isinstance(value, str):
        if not _INTEGER.match(value):
            raise ValueError("must be an integer in plain digits")
        return int(value)
    return value


class IssuedQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: Annotated[
        Annotated[int, Field(ge=MIN_BOUND, le=MAX_BOUND), BeforeValidator(_parse_integer)] | None,
        Field(description="Only the records that contain this number"),
    ] = None
    before: Annotated[
        Annotated[int, Field(ge=1, le=MAX_BOUND), DIGITS] | None,
        Field(description="Only records that are older than the one with this ID"),
    ] = None
    limit: Annotated[int, Field(ge=1, le=1000, description="Maximum number of results"), DIGITS] = 100


class IssuedRange(BaseModel):
    id: int = Field(description="A cursor for `before`: the position among the records of the sequence")
    first: int = Field(description="The first number that was issued")
    last: int = Field(description="The last number that was issued")
    period: str | None = Field(description="The period of the numbers; null without `reset`")
    user: str = Field(description="The user who received the numbers")
    request_id: str
    issued_at: str = Field(json_schema_extra={"format": "date-time"})


class IssuedList(BaseModel):
    issued: list[IssuedRange]
    total: int = Field(description="Number of records of the sequence, or of those that contain `number`")


@bp.get("/sequences/<name>/issued")
@endpoint(
    "List who received which numbers, newest first",
    {
        200: ResponseSpec(
            "One page of records; a response that wrapped around has two", IssuedList, example=examples.ISSUED
        ),
        400: responses.INVALID,
        404: responses.NOT_FOUND,
        409: problem("NotAudited", "The sequence was created without `audit`"),
        503: responses.UNAVAILABLE,
    },
    path=responses.SequencePath,
    query=IssuedQuery,
    tag="numbers",
    description="Only sequences that were created with `audit` have this record, and it is kept indefinitely. Pass the "
    "`id` of the last record as `before` to read the next page.",
)
def list_issued_numbers(name: str, query: IssuedQuery) -> dict[str, Any]:
    with transaction() as tx:
        records, total = sequences.list_issued(tx, name, query.number, query.before, query.limit)
    return {"issued": records, "total": total}
