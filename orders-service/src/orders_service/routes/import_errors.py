"""The rows of an import that did not become valid orders: the complete file errors.csv, or the first rows as JSON."""

import itertools
from collections.abc import Iterator
from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field
from typing_extensions import TypedDict

from chassis.db import Database
from chassis.errors import NotFound
from chassis.web.app import this_app, transaction
from chassis.web.endpoints import ResponseSpec
from chassis.web.validation import endpoint
from orders_service.domain.encodings import charset
from orders_service.domain.reports import DEFAULT_HEADER, REPORT_SEPARATOR, Entry, parse_entries
from orders_service.routes import examples, messages, responses
from orders_service.routes.import_status import TaskPath, require_import, require_uuid
from orders_service.routes.orders import RuleViolation
from orders_service.routes.responses import COMMON_ERRORS, Limit, Query, envelope, success_response
from orders_service.store import imports, reports

bp = Blueprint("import_errors", __name__, url_prefix="/acme_orders/api/v1/orders/import")

_REPORT_READ_BYTES = 64 * 1024
_MAX_LISTED_BYTES, _MAX_ROW_LENGTH = 1024 * 1024, 1000


class ErrorsQuery(Query):
    limit: Annotated[Limit, Field(description="Maximum number of rows")] = 100


class ReportedRow(TypedDict):
    line: Annotated[int, Field(description="Number of the line in the file; the header is the first")]
    row: Annotated[str, Field(description="The row with its separators; at most 1,000 characters of it")]
    errors: list[RuleViolation]


@bp.get("/<task_id>/errors")
@endpoint(
    "List the first invalid, duplicate and rejected rows of an import, each with its errors",
    {
        200: success_response(
            "The first rows, within the first MiB of the error report",
            "ImportErrorsResponse",
            list[ReportedRow],
            example=examples.ERRORS,
        ),
        **COMMON_ERRORS,
    },
    path=TaskPath,
    query=ErrorsQuery,
    tag="imports",
    description="For programs that show a few rows; the complete list is `errors.csv`. Messages are in the "
    "language of `Accept-Language`.",
)
def list_import_errors(task_id: str, query: ErrorsQuery) -> Response:
    with transaction() as tx:
        require_import(imports.find_status(tx, require_uuid(task_id)))
    chunks = _read_report(this_app().database, task_id)
    entries = itertools.chain.from_iterable(parse_entries(_first_bytes(chunks, _MAX_LISTED_BYTES)))
    return envelope([_reported_row(entry) for entry in itertools.islice(entries, query.limit)])


def _first_bytes(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield the chunks that contain the first `size` bytes."""
    while size > 0 and (chunk := next(chunks, None)):
        size -= len(chunk)
        yield chunk


def _reported_row(entry: Entry) -> ReportedRow:
    findings = entry.findings.split(" ")
    return {
        "line": int(entry.line),
        "row": entry.cells[:_MAX_ROW_LENGTH],
        "errors": [
            {"rule": finding.partition(":")[0], "message": messages.finding_message(finding)} for finding in findings
        ],
    }


@bp.get("/<task_id>/errors.csv")
@endpoint(
    "Download the invalid, duplicate and rejected rows of an import, each with its errors",
    {
        200: ResponseSpec(
            "A CSV file in the encoding of the imported one, to be corrected and uploaded again",
            {"type": "string"},
            "text/csv",
            example=examples.ERROR_REPORT,
        ),
        **COMMON_ERRORS,
    },
    path=TaskPath,
    query=responses.LocalizedQuery,
    tag="imports",
    description="Each row is as it was in the file, followed by `line`, `rule` and `message`. Correct the file "
    "and import it again: these three columns are ignored then.",
)
def download_import_errors(task_id: str, query: responses.LocalizedQuery) -> Response:
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
