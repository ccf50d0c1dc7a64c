"""errors.csv: the rows of an import that did not become valid orders."""

from collections.abc import Iterator

from flask import Blueprint, Response

from chassis.db import Database
from chassis.errors import NotFound
from chassis.web.app import this_app, transaction
from chassis.web.validation import ResponseSpec, endpoint
from orders_service.domain.encodings import charset
from orders_service.domain.reports import DEFAULT_HEADER, REPORT_SEPARATOR
from orders_service.routes import messages, responses
from orders_service.routes.import_status import TaskPath, require_uuid
from orders_service.routes.responses import COMMON_ERRORS
from orders_service.store import imports, reports

bp = Blueprint("import_errors", __name__, url_prefix="/acme_orders/api/v1/orders/import")

_REPORT_READ_BYTES = 64 * 1024


@bp.get("/<task_id>/errors.csv")
@endpoint(
    "Download the invalid, duplicate and rejected rows of an import, each with its errors",
    {
        200: ResponseSpec(
            "A CSV file in the encoding of the imported one, to be corrected and uploaded again",
            {"type": "string"},
            "text/csv",
        ),
        **COMMON_ERRORS,
    },
    path=TaskPath,
    query=responses.LocalizedQuery,
)
def get_errors(task_id: str, query: responses.LocalizedQuery) -> Response:
    with transaction() as tx:
        row = imports.find_header(tx, require_uuid(task_id))
    if row is None:
        raise NotFound("import not found")
    header, encoding = row
    lines = messages.errors_csv(header or DEFAULT_HEADER, encoding, _read_report(this_app().database, task_id))
    response = Response(lines, content_type=f"text/csv; charset={charset(encoding)}")
    response.headers["Content-Disposition"] = f'attachment; filename="errors-{task_id}.csv"'
    response.headers["Vary"] = "Accept-Language"
    return response


def _read_report(database: Database, task_id: str) -> Iterator[bytes]:
    """Yield the report in small chunks, each read in its own transaction, so that a slow client holds none."""
    number = -1
    while True:
        with database.statements() as tx:
            next_number = reports.find_next_section_number(tx, task_id, number)
        if next_number is None:
            return
        number, start, chunk = next_number, 0, b""
        while start == 0 or chunk:
            with database.statements() as tx:
                chunk = reports.get_section_bytes(tx, task_id, number, start, _REPORT_READ_BYTES)
            start += len(chunk)
            yield chunk or REPORT_SEPARATOR  # The sections are stored without it.
