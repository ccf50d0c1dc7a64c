"""Questions about the orders that are in."""

import re
from typing import Annotated, Any

from flask import Blueprint, Response, current_app
from flask_babel import format_date
from pydantic import BaseModel, BeforeValidator, Field
from typing_extensions import TypedDict

from chassis.errors import NotFound
from chassis.web.app import transaction
from chassis.web.validation import Answer, endpoint
from orders_service.domain.rules import failed_rules
from orders_service.routes.answers import USUAL, Page, Query, envelope, flag_of, number_of, shape
from orders_service.routes.written import rule_message
from orders_service.store import orders, questions

bp = Blueprint("orders", __name__, url_prefix="/acme_orders/api/v1/orders")

_ID = re.compile(r"-?[0-9]{1,40}\Z", re.ASCII)
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_LONGEST_PART = 200


def _two_letters(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch("[A-Za-z]{2}", value, re.ASCII):
        raise ValueError("state must be a string")
    return value.upper()


def _part_of(field: str) -> Any:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST_PART or "\0" in value:
            raise ValueError(f"{field} must have 1 to 200 characters")
        return value

    return BeforeValidator(check)


_LENGTH = Field(min_length=1, max_length=_LONGEST_PART, pattern="^[^\\x00]+$")


class OrdersQuery(Page):
    after: Annotated[
        int | None, Field(ge=_SMALLEST, le=_LARGEST), number_of("after", _SMALLEST, _LARGEST, "after must be an id")
    ] = Field(None, description="Only ids beyond this one: quicker than an offset")
    valid: Annotated[bool | None, flag_of("valid")] = None
    state: Annotated[str | None, Field(pattern="^[A-Za-z]{2}$"), BeforeValidator(_two_letters)] = None
    name: Annotated[str | None, _LENGTH, _part_of("name")] = Field(None, description="A part of it, any case")
    email: Annotated[str | None, _LENGTH, _part_of("email")] = Field(None, description="A part of it, any case")
    zipcode: Annotated[str | None, _LENGTH, _part_of("zipcode")] = Field(None, description="Its beginning")
    total: Annotated[bool, flag_of("total")] = Field(
        False, description="Count them too where that has to be asked for: with name, email and zipcode"
    )


class Listed(TypedDict):
    id: int
    name: str
    valid: bool


class Finding(TypedDict):
    rule: str
    message: str


class Order(TypedDict):
    id: int
    name: str
    email: str
    state: str
    zipcode: str
    birthday: str
    valid: bool
    errors: list[Finding]


class OrderPath(BaseModel):
    order_id: Annotated[str, Field(pattern="^-?[0-9]{1,40}$")]


@bp.get("")
@endpoint(
    "The orders in the order of their ids",
    {200: Answer("A page of them", shape("Orders", list[Listed], total=int | None)), **USUAL},
    query=OrdersQuery,
)
def list_orders(query: OrdersQuery) -> Response:
    wanted = questions.Wanted(query.valid, query.state, query.name, query.email, query.zipcode)
    with transaction() as tx:
        found = questions.list_orders(tx, wanted, query.limit, query.offset, query.after)
        is_counted = query.total or not wanted.has_texts
        total = questions.count_orders(tx, wanted) if is_counted else None
    beside = {} if total is None else {"total": total}
    return envelope(found, **beside)


@bp.get("/<order_id>")
@endpoint("One order", {200: Answer("The order", shape("OneOrder", Order)), **USUAL}, query=Query)
def get_order(order_id: str, query: Query) -> Response:
    if not _ID.match(order_id):
        raise NotFound("endpoint not found")
    number = int(order_id)
    with transaction() as tx:
        found = orders.find_order(tx, number) if _SMALLEST <= number <= _LARGEST else None
    if found is None:
        raise NotFound("order not found")
    failed, policy = found.pop("failed"), current_app.extensions["orders"].settings.policy
    findings = [
        {"rule": rule.name, "message": rule_message(rule, found["state"], policy)} for rule in failed_rules(failed)
    ]
    birthday = format_date(found["birthday"], "MMMM d, y")
    return envelope({**found, "birthday": birthday, "valid": not failed, "errors": findings})
