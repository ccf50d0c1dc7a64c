"""Queries about the stored orders."""

import re
from typing import Annotated, Any

from flask import Blueprint, Response, current_app
from flask_babel import format_date
from pydantic import BaseModel, BeforeValidator, Field
from typing_extensions import TypedDict

from chassis.errors import NotFound
from chassis.web.app import transaction
from chassis.web.validation import ResponseSpec, endpoint
from orders_service.domain.rules import failed_rules
from orders_service.routes.messages import rule_message
from orders_service.routes.responses import USUAL, Page, Query, envelope, flag_of, number_of, shape
from orders_service.store import order_queries, orders

bp = Blueprint("orders", __name__, url_prefix="/acme_orders/api/v1/orders")

_ID = re.compile(r"-?[0-9]{1,40}\Z", re.ASCII)
_MIN_ID, _MAX_ID = -(2**63), 2**63 - 1
_MAX_PART_LENGTH = 200


def _two_letters(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch("[A-Za-z]{2}", value, re.ASCII):
        raise ValueError("state must be a string")
    return value.upper()


def _part_of(field: str) -> Any:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= _MAX_PART_LENGTH or "\0" in value:
            raise ValueError(f"{field} must have 1 to 200 characters")
        return value

    return BeforeValidator(check)


_LENGTH = Field(min_length=1, max_length=_MAX_PART_LENGTH, pattern="^[^\\x00]+$")


class OrdersQuery(Page):
    after: Annotated[
        int | None, Field(ge=_MIN_ID, le=_MAX_ID), number_of("after", _MIN_ID, _MAX_ID, "after must be an id")
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
    {200: ResponseSpec("A page of them", shape("Orders", list[Listed], total=int | None)), **USUAL},
    query=OrdersQuery,
)
def list_orders(query: OrdersQuery) -> Response:
    order_filter = order_queries.OrderFilter(query.valid, query.state, query.name, query.email, query.zipcode)
    is_counted = query.total or not order_filter.has_texts
    with transaction() as tx:
        page = order_queries.list_orders(tx, order_filter, query.limit, query.offset, query.after)
        counts = {"total": order_queries.count_orders(tx, order_filter)} if is_counted else {}
    return envelope(page, **counts)


@bp.get("/<order_id>")
@endpoint("One order", {200: ResponseSpec("The order", shape("OneOrder", Order)), **USUAL}, query=Query)
def get_order(order_id: str, query: Query) -> Response:
    if not _ID.match(order_id):
        raise NotFound("endpoint not found")
    number = int(order_id)
    with transaction() as tx:
        row = orders.find_order(tx, number) if _MIN_ID <= number <= _MAX_ID else None
    if row is None:
        raise NotFound("order not found")
    failed, policy = row.pop("failed"), current_app.extensions["orders"].settings.policy
    findings = [
        {"rule": rule.name, "message": rule_message(rule, row["state"], policy)} for rule in failed_rules(failed)
    ]
    birthday = format_date(row["birthday"], "MMMM d, y")
    return envelope({**row, "birthday": birthday, "valid": not failed, "errors": findings})
