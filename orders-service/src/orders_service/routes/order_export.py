"""The stored orders as a CSV file."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response

from chassis.db import Database
from chassis.web.app import this_app
from chassis.web.endpoints import ResponseSpec
from chassis.web.validation import endpoint
from orders_service.domain.formulas import CONTAINS_FORMULA, escape
from orders_service.domain.headers import COLUMNS, EXPORT_COLUMNS
from orders_service.domain.reports import quote_cell
from orders_service.domain.rules import failed_rules
from orders_service.routes import examples
from orders_service.routes.orders import FilterQuery
from orders_service.routes.responses import INVALID_REQUEST, UNAVAILABLE
from orders_service.store.order_queries import OrderFilter, find_rows_end, list_rows
from orders_service.store.orders import MAX_ID, MIN_ID

bp = Blueprint("order_export", __name__, url_prefix="/acme_orders/api/v1")

_SEPARATOR = ","
_MAX_ORDERS_PER_READ, _MAX_BYTES_PER_READ = 1000, 1024 * 1024
_IS_SPECIAL = re.compile(f'["\\r\\n]|{CONTAINS_FORMULA}')


@bp.get("/orders.csv")
@endpoint(
    "Download the orders, ordered by ID, as CSV with all columns and the names of the violated rules",
    {
        200: ResponseSpec(
            "The matching orders", {"type": "string"}, "text/csv; charset=utf-8", example=examples.EXPORT
        ),
        400: INVALID_REQUEST,
        503: UNAVAILABLE,
    },
    query=FilterQuery,
    tag="orders",
    description="The file is read in steps while it is sent: an order that is stored or deleted concurrently may be "
    "in it or not. Cells that a spreadsheet would execute as a formula begin with `'`.",
)
def export_orders(query: FilterQuery) -> Response:
    lines = _lines(this_app().database, query.order_filter)
    # Read before the response begins, so that it can still be an error.
    first_lines = next(lines)
    response = Response(itertools.chain([first_lines], lines), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="orders.csv"'
    return response


def _lines(database: Database, order_filter: OrderFilter) -> Iterator[str]:
    """Yield the header, and the matching orders of each range of IDs.

    Each range is read in its own transaction, so that a slow client holds none. It has a limited number of orders and
    bytes, whether they match or not, so that a filter that few orders match reads the table once too.
    """
    lines = [_SEPARATOR.join((*COLUMNS, *EXPORT_COLUMNS)) + "\r\n"]
    end: int | None = MIN_ID - 1
    while end is not None and end < MAX_ID:
        with database.transaction() as tx:
            first_id = end + 1
            end = find_rows_end(tx, first_id, _MAX_ORDERS_PER_READ, _MAX_BYTES_PER_READ)
            rows = [] if end is None else list_rows(tx, order_filter, first_id, end)
        yield "".join([*lines, *map(_line, rows)])
        lines = []


def _line(row: dict[str, Any]) -> str:
    failed = row["failed"]
    cells = [str(row[name]) for name in COLUMNS]
    cells += ["false" if failed else "true", "; ".join(rule.name for rule in failed_rules(failed))]
    line = _SEPARATOR.join(cells)
    # Few lines have a cell that must be quoted or escaped, and checking each cell takes ten times as long.
    if line.count(_SEPARATOR) == len(cells) - 1 and not _IS_SPECIAL.search(line):
        return line + "\r\n"
    return _SEPARATOR.join(quote_cell(escape(cell), _SEPARATOR) for cell in cells) + "\r\n"
