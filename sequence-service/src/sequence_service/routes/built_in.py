"""The four built-in sequences."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Blueprint, Response, current_app, g
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from chassis.db import Database
from chassis.errors import Problem
from chassis.runtime import tracing
from chassis.runtime.batching import Batcher
from chassis.web.app import username
from chassis.web.endpoints import ResponseSpec
from chassis.web.openapi_components import outcome_unknown
from chassis.web.validation import endpoint
from sequence_service.domain.sequences import BUILT_IN_RANGES, max_per_request
from sequence_service.operations import numbers
from sequence_service.operations.numbers import IssuedNumbers, NumberRequest
from sequence_service.routes import examples, responses
from sequence_service.routes.numbers import no_store_response

bp = Blueprint("built_in", __name__)

# A key of `app.extensions`.
BATCHERS_KEY = "number_batchers"


class Numbers(BaseModel):
    # Omitted, never null.
    sequence_no: int = Field(None, description="The number, only if `n` is 1 or omitted")  # type: ignore[assignment]
    sequence_list: list[int] = Field(description="The numbers, in the order in which they were issued")


def create_batchers(database: Database) -> dict[str, Batcher[NumberRequest, IssuedNumbers]]:
    """Return a batcher for each built-in sequence, in which concurrent requests to one process share a transaction."""

    def issue_batch(requests: list[NumberRequest]) -> list[IssuedNumbers | Problem]:
        with database.transaction() as tx:
            return numbers.issue_batch(tx, requests, datetime.now(UTC))

    return {name: Batcher(issue_batch) for name in BUILT_IN_RANGES}


def _count_up_to(maximum: int) -> Any:
    """Return the type of a parameter whose only error message states the limits."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > maximum:
            raise ValueError(f"must be an integer between 0 and {maximum} in plain digits")
        return int(text)

    return Annotated[int, Field(ge=0, le=maximum, description="How many numbers to issue"), BeforeValidator(parse)]


def _create_view(name: str) -> Callable[..., Response]:
    query_model: type[BaseModel] = create_model(
        "Count", __config__=ConfigDict(extra="forbid"), n=(_count_up_to(max_per_request(name)), 1)
    )

    @endpoint(
        f"Issue the next numbers of the built-in sequence `{name}`",
        {
            200: ResponseSpec(
                "Numbers that no other caller receives within the same cycle",
                Numbers,
                example=examples.built_in_number(BUILT_IN_RANGES[name][0]),
            ),
            400: responses.INVALID,
            503: responses.UNAVAILABLE,
            504: outcome_unknown(responses.UNAVAILABLE),
        },
        query=query_model,
        tag="numbers",
        description="The request changes state although it is a GET: nothing between client and service repeats it, "
        "its response is not cached, and HEAD returns 405. The numbers are contiguous, except that the "
        "minimum follows the maximum; `n=0` returns none.",
    )
    def issue_built_in(query: Any) -> Response:
        issued = _issue(name, query.n) if query.n else []
        single = {"sequence_no": issued[0]} if query.n == 1 else {}
        return no_store_response({**single, "sequence_list": issued})

    view: Callable[..., Response] = issue_built_in
    return view


def _issue(name: str, count: int) -> list[int]:
    batchers: dict[str, Batcher[NumberRequest, IssuedNumbers]] = current_app.extensions[BATCHERS_KEY]
    return batchers[name].submit(NumberRequest(name, count, g.request_id, username(), tracing.current())).numbers


for _name in BUILT_IN_RANGES:
    bp.get(f"/{_name}", endpoint=f"issue_from_{_name.replace('-', '_')}", head=False)(_create_view(_name))
