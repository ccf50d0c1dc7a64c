"""Imports: files come in, their progress and their errors go out."""

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
from orders_service.domain.reports import BETWEEN_REPORTS, NO_HEADER
from orders_service.operations import uploading
from orders_service.operations.upload_receiver import BlockWriter, UploadReceiver
from orders_service.routes import forms, messages, responses
from orders_service.routes.i18n import translate
from orders_service.routes.responses import USUAL, Page, Query, Spoken, envelope, flag_of, refusal, shape
from orders_service.store import imports

bp = Blueprint("imports", __name__, url_prefix="/acme_orders/api/v1/orders/import")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_NOT_FOUND = "import not found"
_REPORT_READ_BYTES = 64 * 1024


class ImportQuery(Query):
    file_name: str | None = Field(None, description="Of a file that is the body itself; `orders.csv` if left out")
    dry_run: Annotated[bool, flag_of("dry_run")] = Field(False, description="Judge everything, store no order")


class TaskQuery(Page):
    task_id: str | None = Field(None, description="That import only")


class TaskPath(BaseModel):
    task_id: Annotated[str, Field(description="A UUID", json_schema_extra={"format": "uuid"})]


class Started(TypedDict):
    task_id: str
    batch_no: int | None


class Status(TypedDict):
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
    "Import a CSV file of orders: as the field `csv_file` of a form, or as the body itself with the type text/csv",
    {
        202: ResponseSpec("It is safe, and will be imported", shape("ImportStarted", Started)),
        400: responses.INVALID,
        408: refusal("The upload is too slow or takes too long"),
        409: refusal("The first request with this key still runs"),
        413: refusal("The file is larger than allowed"),
        415: refusal("No CSV file"),
        422: refusal("The Idempotency-Key was used for something else"),
        503: responses.AWAY,
    },
    query=ImportQuery,
    streamed_body=forms.FILE,
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
    receiver: UploadReceiver, writer: BlockWriter, file: forms.ReceivedFile, query: ImportQuery, key: str | None
) -> Response:
    """The batch number is issued outside of any transaction; a response that is stored already needs none."""
    fingerprint = idempotency.request_fingerprint(file.digest + file.name.encode())
    if key is not None:
        with transaction() as tx:
            if replayed := idempotency.claim(tx, key, fingerprint):
                writer.discard()
                return replayed
    batch_no = clients.issue_batch_no(receiver.settings.sequence_url, writer.id, g.request_id)
    with transaction() as tx:
        if key is not None and (replayed := idempotency.claim(tx, key, fingerprint)):
            return replayed
        upload = uploading.Upload(
            writer.id, username(), g.request_id, file.name, query.dry_run, writer.blocks, writer.rows
        )
        uploading.accept_upload(tx, upload, batch_no, datetime.now(UTC))
        response = envelope({"task_id": writer.id, "batch_no": batch_no}, translate("starting import process"), 202)
        response.headers["Location"] = f"{bp.url_prefix}/status/{writer.id}"
        if key is not None:
            idempotency.store_response(tx, key, fingerprint, response)
    return response


@bp.get("/status")
@endpoint(
    "The newest imports, or one of them",
    {200: ResponseSpec("A page of them; with `task_id` that one", shape("Imports", list[Status] | Status)), **USUAL},
    query=TaskQuery,
)
def list_imports(query: TaskQuery) -> Response:
    if query.task_id is not None:
        return _one_status(query.task_id)
    with transaction() as tx:
        rows = imports.list_statuses(tx, query.limit, query.offset)
        total = imports.count_imports(tx)
    return envelope([_status(row) for row in rows], total=total)


@bp.get("/status/<task_id>")
@endpoint(
    "How far an import is",
    {200: ResponseSpec("Its status", shape("ImportStatus", Status)), **USUAL},
    path=TaskPath,
    query=Query,
)
def get_import(task_id: str, query: Query) -> Response:
    return _one_status(task_id)


def _one_status(task_id: str) -> Response:
    with transaction() as tx:
        return envelope(_status(_existing(imports.find_status(tx, _checked(task_id)))))


def _checked(task_id: str) -> str:
    if not _UUID.match(task_id):
        raise NotFound(_NOT_FOUND)
    return task_id


def _existing(row: dict[str, Any] | None) -> dict[str, Any]:
    if row is None:
        raise NotFound(_NOT_FOUND)
    return row


def _status(row: dict[str, Any]) -> dict[str, Any]:
    seconds, current, total = row["seconds"] or 0.0, row["current"], max(row["total"], row["current"])
    ended = row["finished_at"] is not None
    return {
        **{name: row[name] for name in ("task_id", "batch_no", "file_name", "dry_run", "status", "current")},
        "total": total,
        "percent": 100.0
        if row["status"] == "SUCCESS"
        else min(round(100 * current / total, 1) if total else 0.0, 99.9),
        **{name: row[name] for name in ("valid", "invalid", "duplicates", "rejected")},
        "rows_per_second": round(current / seconds, 1) if seconds > 0 else 0.0,
        "started_at": _time(row["started_at"]),
        "finished_at": _time(row["finished_at"]),
        "message": messages.status_message(row["status"], row["reason"], row["reason_names"]) if ended else "",
    }


def _time(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None


@bp.delete("/status/<task_id>")
@endpoint(
    "Cancel an import; what is in stays in",
    {
        202: ResponseSpec("It ends before its next step", shape("ImportCancelled", Started)),
        409: refusal("It has ended already"),
        **USUAL,
    },
    path=TaskPath,
    query=Query,
)
def cancel_import(task_id: str, query: Query) -> Response:
    with transaction() as tx:
        uploading.cancel_import(tx, _checked(task_id))
        row = _existing(imports.find_status(tx, task_id))
    return envelope({"task_id": row["task_id"], "batch_no": row["batch_no"]}, translate("cancelling"), 202)


@bp.get("/<task_id>/errors.csv")
@endpoint(
    "The rows that are invalid, duplicates or rejected, as they stood in the file, and why",
    {200: ResponseSpec("They can be corrected and sent again", {"type": "string"}, "text/csv; charset=utf-8"), **USUAL},
    path=TaskPath,
    query=Spoken,
)
def get_errors(task_id: str, query: Spoken) -> Response:
    with transaction() as tx:
        exists, header = imports.find_header(tx, _checked(task_id))
    if not exists:
        raise NotFound(_NOT_FOUND)
    lines = messages.errors_csv(header or NO_HEADER, _report(this_app().database, task_id))
    response = Response(lines, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="errors-{task_id}.csv"'
    response.headers["Vary"] = "Accept-Language"
    return response


def _report(database: Database, task_id: str) -> Iterator[bytes]:
    """Return the report in small parts, each read in its own transaction: a slow reader must not hold one."""
    number = -1
    while True:
        with database.statements() as tx:
            following = imports.find_next_report(tx, task_id, number)
        if following is None:
            return
        number, start, part = following, 0, b""
        while start == 0 or part:
            with database.statements() as tx:
                part = imports.get_part_of_report(tx, task_id, number, start, _REPORT_READ_BYTES)
            start += len(part)
            yield part or BETWEEN_REPORTS
