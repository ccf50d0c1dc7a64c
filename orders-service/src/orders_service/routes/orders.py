"""Queries about the stored orders, and their deletion."""

import re
from typing import Annotated

from flask import Blueprint, Response, current_app
from flask.typing import ResponseReturnValue
from flask_babel import format_date
from pydantic import BaseModel, BeforeValidator, Field
from typing_extensions import TypedDict
from werkzeug.exceptions import MethodNotAllowed

from chassis.db import Transaction
from chassis.errors import NotFound
from chassis.web.app import transaction
from chassis.web.endpoints import ResponseSpec
from chassis.web.idempotency import run_idempotent
from chassis.web.validation import endpoint
from orders_service.domain.rules import failed_rules
from orders_service.operations import deletions
from orders_service.routes import examples
from orders_service.routes.messages import rule_message
from orders_service.routes.responses import (
    COMMON_ERRORS,
    INVALID_REQUEST,
    KEY_IN_USE,
    KEY_REUSED,
    UNAVAILABLE,
    PageQuery,
    Query,
    boolean,
    envelope,
    integer_between,
    success_response,
)
from orders_service.store import order_queries, orders
from orders_service.store.order_queries import OrderFilter
from orders_service.store.orders import MAX_ID, MIN_ID

bp = Blueprint("orders", __name__, url_prefix="/acme_orders/api/v1/orders")

_ID = re.compile(r"-?[0-9]{1,40}\Z", re.ASCII)
_NOT_FOUND = "order not found"
_MAX_TEXT_LENGTH = 200


def _validate_state(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch("[A-Za-z]{2}", value, re.ASCII):
        raise ValueError("state must be a string")
    return value.upper()


def _text(field: str) -> BeforeValidator:
    def check(value: object) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= _MAX_TEXT_LENGTH or "\0" in value:
            raise ValueError(f"{field} must have 1 to 200 characters")
        return value

    return BeforeValidator(check)


_TEXT_FIELD = Field(min_length=1, max_length=_MAX_TEXT_LENGTH, pattern="^[^\\x00]+$")


class FilterQuery(Query):
    valid: Annotated[bool | None, boolean("valid")] = Field(None, description="Only valid or only invalid orders")
    state: Annotated[str | None, Field(pattern="^[A-Za-z]{2}$"), BeforeValidator(_validate_state)] = Field(
        None, description="Orders with this state: two letters, case-insensitive"
    )
    name: Annotated[str | None, _TEXT_FIELD, _text("name")] = Field(None, description="Part of it, case-insensitive")
    email: Annotated[str | None, _TEXT_FIELD, _text("email")] = Field(None, description="Part of it, case-insensitive")
    zipcode: Annotated[str | None, _TEXT_FIELD, _text("zipcode")] = Field(None, description="Its first characters")

    @property
    def order_filter(self) -> OrderFilter:
        return OrderFilter(self.valid, self.state, self.name, self.email, self.zipcode)


class OrdersQuery(FilterQuery, PageQuery):
    after: Annotated[
        int | None,
        Field(ge=MIN_ID, le=MAX_ID),
        integer_between("after", MIN_ID, MAX_ID, "after must be between -2^63 and 2^63 - 1"),
    ] = Field(None, description="Only orders whose ID is greater than this one; faster than an offset")
    total: Annotated[bool, boolean("total")] = Field(
        False, description="Return the total also with `name`, `email` or `zipcode`"
    )


Total = Annotated[int, Field(description="Number of orders that match the filter")]


class OrderSummary(TypedDict):
    id: int
    name: str
    valid: bool


class RuleViolation(TypedDict):
    rule: Annotated[str, Field(description="Name of the rule, or why the row was rejected")]
    message: Annotated[str, Field(description="In the language of `Accept-Language`")]


class Order(TypedDict):
    id: int
    name: str
    email: str
    state: Annotated[str, Field(description="Normalized: the code of the state, if it is known")]
    zipcode: str
    birthday: Annotated[str, Field(description="In the language of `Accept-Language`")]
    valid: bool
    errors: Annotated[list[RuleViolation], Field(description="All violated rules; empty if the order is valid")]


class OrderPath(BaseModel):
    """Documented, not validated: a malformed ID is a 404."""

    order_id: Annotated[
        str,
        Field(
            description="ID of the order, an integer",
            examples=["4711"],
            json_schema_extra={"pattern": "^-?[0-9]{1,40}$"},
        ),
    ]


@bp.get("")
@endpoint(
    "List orders, ordered by ID",
    {
        200: success_response(
            "A page of orders", "OrderListResponse", list[OrderSummary], total=Total, example=examples.ORDERS
        ),
        400: INVALID_REQUEST,
        503: UNAVAILABLE,
    },
    query=OrdersQuery,
    tag="orders",
    description="All writers share the orders. `total` counts the orders that match the filter; with `name`, "
    "`email` or `zipcode` it is returned only for `total=1`, because counting them takes longer. Pass "
    "the last ID of a page as `after` to read the next one.",
)
def list_orders(query: OrdersQuery) -> Response:
    order_filter = query.order_filter
    has_total = query.total or not order_filter.has_text_conditions
    with transaction() as tx:
        page = order_queries.list_orders(tx, order_filter, query.limit, query.offset, query.after)
        counts = {"total": order_queries.count_orders(tx, order_filter)} if has_total else {}
    return envelope(page, **counts)


@bp.get("/<order_id>")
@endpoint(
    "Get an order",
    {200: success_response("The order", "OrderResponse", Order, example=examples.ORDER), **COMMON_ERRORS},
    path=OrderPath,
    query=Query,
    tag="orders",
    description="An invalid order names all rules that it violates, with messages in the language of "
    "`Accept-Language`.",
)
def get_order(order_id: str, query: Query) -> Response:
    number = _parse_id(order_id)
    with transaction() as tx:
        row = orders.find_order(tx, number)
    if row is None:
        raise NotFound(_NOT_FOUND)
    failed, policy = row.pop("failed"), current_app.extensions["orders"].settings.policy
    violations = [
        {"rule": rule.name, "message": rule_message(rule, row["state"], policy)} for rule in failed_rules(failed)
    ]
    birthday = format_date(row["birthday"], "MMMM d, y")
    return envelope({**row, "birthday": birthday, "valid": not failed, "errors": violations})


@bp.delete("/<order_id>")
@endpoint(
    "Delete an order",
    {
        204: ResponseSpec("The order was deleted"),
        409: KEY_IN_USE,
        422: KEY_REUSED,
        **COMMON_ERRORS,
    },
    path=OrderPath,
    query=Query,
    idempotent=True,
    tag="orders",
    description="A later import may store an order with the same ID again. With an `Idempotency-Key`, a repeat "
    "returns 204 too instead of 404.",
)
def delete_order(order_id: str, query: Query) -> Response:
    if order_id == "import":
        # The path of the uploads, which have other methods.
        raise MethodNotAllowed(["POST", "PUT"])
    number = _parse_id(order_id)

    def run(tx: Transaction) -> ResponseReturnValue:
        deletions.delete_order(tx, number)
        return "", 204

    return run_idempotent(run)


def _parse_id(text: str) -> int:
    if not _ID.match(text):
        raise NotFound("endpoint not found")
    number = int(text)
    if not MIN_ID <= number <= MAX_ID:
        raise NotFound(_NOT_FOUND)
    return number
