"""The next numbers of any sequence."""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from flask import Blueprint, Response, g
from pydantic import BaseModel, ConfigDict, Field

from chassis.runtime import tracing
from chassis.web.app import json_response, username
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.idempotency import run_idempotent
from chassis.web.validation import INTEGER, endpoint
from sequence_service.domain.sequences import MAX_PER_REQUEST
from sequence_service.operations import numbers
from sequence_service.operations.numbers import IssuedNumbers, NumberRequest
from sequence_service.routes import examples, responses

bp = Blueprint("numbers", __name__)


class NextNumbersRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: Annotated[
        int, Field(ge=1, le=MAX_PER_REQUEST, description="How many numbers to issue, at most the range"), INTEGER
    ] = 1


class FormattedNumbers(BaseModel):
    sequence_list: list[int] = Field(description="The numbers, in the order in which they were issued")
    formatted: list[str] = Field(description="The same numbers in the format of the sequence")
    # Omitted, never null.
    period: str = Field(None, description="The period of the numbers, only if the sequence has `reset`")  # type: ignore[assignment]


@bp.post("/sequences/<name>/next")
@endpoint(
    "Issue the next numbers of a sequence",
    {
        200: ResponseSpec(
            "Numbers that no other caller receives within the same cycle", FormattedNumbers, example=examples.NUMBERS
        ),
        400: responses.INVALID,
        404: responses.NOT_FOUND,
        409: problem(
            "Exhausted", f"The sequence has fewer numbers left than requested; none was issued. {responses.IN_PROGRESS}"
        ),
        415: responses.UNSUPPORTED_MEDIA_TYPE,
        422: responses.KEY_REUSED,
        503: responses.UNAVAILABLE,
    },
    path=responses.SequencePath,
    body=NextNumbersRequest,
    idempotent=True,
    tag="numbers",
    example=examples.NUMBER_REQUEST,
    description="The numbers are contiguous, and no other caller receives them within the same cycle or period, "
    "regardless of restarts. If fewer are left than requested, none is issued. Works with the built-in "
    "sequences too. Send an `Idempotency-Key`: a repeat then returns the same numbers.",
)
def issue_numbers(name: str, body: NextNumbersRequest) -> Response:
    request = NumberRequest(name, body.n, g.request_id, username(), tracing.current())
    return run_idempotent(lambda tx: _formatted_response(numbers.issue_numbers(tx, request, datetime.now(UTC))))


def _formatted_response(issued: IssuedNumbers) -> Response:
    sequence, issued_numbers = issued.sequence, issued.numbers
    formatted = [sequence.format_number(number) for number in issued_numbers]
    period = {"period": sequence.period} if sequence.period else {}
    return no_store_response({"sequence_list": issued_numbers, "formatted": formatted, **period})


def no_store_response(body: dict[str, Any]) -> Response:
    """Return a response that no cache may keep, because its numbers belong to one caller."""
    response = json_response(orjson.dumps(body))
    response.headers["Cache-Control"] = "no-store"
    return response
