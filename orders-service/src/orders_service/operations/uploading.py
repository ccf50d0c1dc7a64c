"""Acceptance of a complete upload as an import, and cancellation of imports."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis import strictjson
from chassis.db import Transaction
from chassis.errors import Conflict, NotFound
from chassis.messaging import outbox
from orders_service.domain.imports import FileFormat
from orders_service.store import imports

QUEUE = "orders.import"


@dataclass(frozen=True)
class Upload:
    """A file that has been received completely."""

    id: str
    username: str
    request_id: str
    file_name: str
    dry_run: bool
    may_update: bool
    chunk_count: int
    estimated_rows: int
    is_workbook: bool
    file_format: FileFormat


def accept_upload(tx: Transaction, upload: Upload, batch_no: int | None, now: datetime) -> None:
    """Create the import, its first job and its event; once this commits, the file is imported completely."""
    imports.insert_import(
        tx,
        id=upload.id,
        username=upload.username,
        request_id=upload.request_id,
        file_name=upload.file_name,
        dry_run=upload.dry_run,
        may_update=upload.may_update,
        batch_no=batch_no,
        now=now,
        total=0 if upload.is_workbook else upload.estimated_rows,
        chunk_count=upload.chunk_count,
        is_workbook=upload.is_workbook,
        # The encoding of a workbook is always the same.
        encoding=None if upload.is_workbook else upload.file_format.encoding,
        column_mapping=strictjson.dumps(upload.file_format.columns) if upload.file_format.columns else None,
        date_format=upload.file_format.date_format,
    )
    payload: dict[str, Any] = {
        "task_id": upload.id,
        "file_name": upload.file_name,
        "batch_no": batch_no,
        "dry_run": upload.dry_run,
    }
    outbox.add(
        tx,
        outbox.service_event("orders", "OrdersImportStarted", payload, now=now, request_id=upload.request_id),
        slice_job(upload.id, 1, upload.request_id),
    )


def slice_job(import_id: str, slice_: int, request_id: str) -> outbox.Message:
    return outbox.job(QUEUE, {"task_id": import_id, "turn": slice_}, request_id=request_id)


def cancel_import(tx: Transaction, import_id: str) -> None:
    """Request that the import end before its next step; raise Conflict if it has already ended."""
    if imports.update_cancelled(tx, import_id):
        return
    if imports.find_status(tx, import_id) is None:
        raise NotFound("import not found")
    raise Conflict("the import has already ended")
