"""Imports: uploading files, following their progress, and downloading their errors."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Blueprint, Response, current_app, g, request
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from chassis.db import Database
from chassis.errors import NotFound
from chassis.web import idempotency
from chassis.web.app import this_app, transaction, username
from chassis.web.uploads import UploadStream
from chassis.web.validation import ResponseSpec, endpoint
from orders_service import clients
from orders_service.domain.reports import DEFAULT_HEADER, REPORT_SEPARATOR
from orders_service.operations import uploading
from orders_service.operations.upload_receiver import FileWriter, UploadReceiver
from orders_service.routes import forms, messages, responses
from orders_service.routes.i18n import translate
from orders_service.routes.responses import COMMON_ERRORS, PageQuery, Query, envelope, error_response, success_response
from orders_service.store import imports

bp = Blueprint("imports", __name__, url_prefix="/acme_orders/api/v1/orders/import")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_NOT_FOUND = "import not found"
_REPORT_READ_BYTES = 64 * 1024


class ImportQuery(Query):
    file_name: str | None = Field(None, description="Name of a file that is sent as the body; default: `orders.csv`")
    dry_run: Annotated[bool, responses.boolean("dry_run")] = Field(False, description="Validate without storing orders")


class TaskQuery(PageQuery):
    task_id: str | None = Field(None, description="Return only this import")


class TaskPath(BaseModel):
    task_id: Annotated[str, Field(description="UUID of the import", json_schema_extra={"format": "uuid"})]


class ImportTask(TypedDict):
    task_id: str
    batch_no: int | None


class ImportStatus(TypedDict):
    task_id: str
    batch_no: int | None
    file_name: str
    dry_run: bool
    status: str
    current: int
    total: int
    percent: float
    valid: int
    invalid: int
    duplicates: int
    rejected: int
    rows_per_second: float
    started_at: str | None
    finished_at: str | None
    message: str


@bp.route("", methods=["PUT", "POST"])
@endpoint(
    "Import a CSV file of orders, sent as the form field `csv_file` or as the body with `Content-Type: text/csv`",
    {
        202: success_response("The file is stored durably and will be imported", "ImportStartedResponse", ImportTask),
        400: responses.INVALID_REQUEST,
        408: error_response("The upload is too slow or takes too long"),
        409: error_response("The first request with this Idempotency-Key is still in progress"),
        413: error_response("The file, or another part of the form, is larger than allowed"),
        415: error_response("The name of the file does not end in .csv, or the body is compressed"),
        422: error_response("The Idempotency-Key was already used for a different request"),
        503: responses.UNAVAILABLE,
    },
    query=ImportQuery,
    streamed_body=forms.REQUEST_BODY,
    idempotent=True,
)
def import_orders(query: ImportQuery) -> Response:
    receiver: UploadReceiver = current_app.extensions["orders"]
    key = idempotency.request_key()
    body = UploadStream(request, receiver.settings.largest_upload_bytes, forms.FIELD)
    with receiver.receiving(username(), key) as writer:
        file = forms.receive_file(request, body, query.file_name, writer)
        writer.finish()
        return _accept(receiver, writer, file, query, key)


def _accept(
    receiver: UploadReceiver, writer: FileWriter, file: forms.ReceivedFile, query: ImportQuery, key: str | None
) -> Response:
    """Turn the received file into an import and return the response, which is stored under the key.

    The batch number is issued outside of any transaction, and only if no response is stored yet.
    """
    fingerprint = idempotency.request_fingerprint(file.digest + file.name.encode())
    if key is not None:
        with transaction() as tx:
            if replayed := idempotency.claim(tx, key, fingerprint):
                return replayed
    batch_no = clients.issue_batch_no(receiver.settings.sequence_url, writer.id, g.request_id)
    with transaction() as tx:
        if key is not None and (replayed := idempotency.claim(tx, key, fingerprint)):
            return replayed
        writer.accept(tx)
        upload = uploading.Upload(
            writer.id, username(), g.request_id, file.name, query.dry_run, writer.chunk_count, writer.estimated_rows
        )
        uploading.accept_upload(tx, upload, batch_no, datetime.now(UTC))
        response = envelope({"task_id": writer.id, "batch_no": batch_no}, translate("starting import process"), 202)
        response.headers["Location"] = f"{bp.url_prefix}/status/{writer.id}"
        if key is not None:
            idempotency.store_response(tx, key, fingerprint, response)
    return response


@bp.get("/status")
@endpoint(
    "List imports, newest first, or get one of them",
    {
        200: success_response(
            "A page of imports, or one import", "ImportListResponse", list[ImportStatus] | ImportStatus
        ),
        **COMMON_ERRORS,
    },
    query=TaskQuery,
)
def list_imports(query: TaskQuery) -> Response:
    if query.task_id is not None:
        return _get_status(query.task_id)
    with transaction() as tx:
        rows = imports.list_statuses(tx, query.limit, query.offset)
        total = imports.count_imports(tx)
    return envelope([_render_status(row) for row in rows], total=total)


@bp.get("/status/<task_id>")
@endpoint(
    "Get the status of an import",
    {200: success_response("The status of the import", "ImportStatusResponse", ImportStatus), **COMMON_ERRORS},
    path=TaskPath,
    query=Query,
)
def get_import(task_id: str, query: Query) -> Response:
    return _get_status(task_id)


def _get_status(task_id: str) -> Response:
    with transaction() as tx:
        return envelope(_render_status(_require_import(imports.find_status(tx, _require_uuid(task_id)))))


def _require_uuid(task_id: str) -> str:
    if not _UUID.match(task_id):
        raise NotFound(_NOT_FOUND)
    return task_id


def _require_import(row: dict[str, Any] | None) -> dict[str, Any]:
    if row is None:
        raise NotFound(_NOT_FOUND)
    return row


def _render_status(row: dict[str, Any]) -> dict[str, Any]:
    seconds, current, total = row["seconds"] or 0.0, row["current"], max(row["total"], row["current"])
    has_ended = row["finished_at"] is not None
    return {
        **{name: row[name] for name in ("task_id", "batch_no", "file_name", "dry_run", "status", "current")},
        "total": total,
        "percent": 100.0
        if row["status"] == "SUCCESS"
        else min(round(100 * current / total, 1) if total else 0.0, 99.9),
        **{name: row[name] for name in ("valid", "invalid", "duplicates", "rejected")},
        "rows_per_second": round(current / seconds, 1) if seconds > 0 else 0.0,
        "started_at": _format_time(row["started_at"]),
        "finished_at": _format_time(row["finished_at"]),
        "message": messages.status_message(row["status"], row["reason"], row["reason_names"]) if has_ended else "",
    }


def _format_time(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None


@bp.delete("/status/<task_id>")
@endpoint(
    "Cancel an import; orders that are already stored are kept",
    {
        202: success_response("The import will end before its next step", "ImportCancelledResponse", ImportTask),
        409: error_response("The import has already ended"),
        **COMMON_ERRORS,
    },
    path=TaskPath,
    query=Query,
)
def cancel_import(task_id: str, query: Query) -> Response:
    with transaction() as tx:
        uploading.cancel_import(tx, _require_uuid(task_id))
        row = _require_import(imports.find_status(tx, task_id))
    return envelope({"task_id": row["task_id"], "batch_no": row["batch_no"]}, translate("cancelling"), 202)


@bp.get("/<task_id>/errors.csv")
@endpoint(
    "Download the invalid, duplicate and rejected rows of an import, each with its errors",
    {
        200: ResponseSpec(
            "A CSV file that can be corrected and uploaded again", {"type": "string"}, "text/csv; charset=utf-8"
        ),
        **COMMON_ERRORS,
    },
    path=TaskPath,
    query=responses.LocalizedQuery,
)
def get_errors(task_id: str, query: responses.LocalizedQuery) -> Response:
    with transaction() as tx:
        exists, header = imports.find_header(tx, _require_uuid(task_id))
    if not exists:
        raise NotFound(_NOT_FOUND)
    lines = messages.errors_csv(header or DEFAULT_HEADER, _read_report(this_app().database, task_id))
    response = Response(lines, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="errors-{task_id}.csv"'
    response.headers["Vary"] = "Accept-Language"
    return response


def _read_report(database: Database, task_id: str) -> Iterator[bytes]:
    """Yield the report in small chunks, each read in its own transaction, so that a slow client holds none."""
    number = -1
    while True:
        with database.statements() as tx:
            next_number = imports.find_next_section_number(tx, task_id, number)
        if next_number is None:
            return
        number, start, chunk = next_number, 0, b""
        while start == 0 or chunk:
            with database.statements() as tx:
                chunk = imports.get_section_bytes(tx, task_id, number, start, _REPORT_READ_BYTES)
            start += len(chunk)
            yield chunk or REPORT_SEPARATOR  # The sections are stored without it.
