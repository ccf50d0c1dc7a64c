"""An upload that is in becomes an import, and can be cancelled as one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.db import Transaction
from chassis.errors import Conflict, NotFound, Unavailable
from chassis.messaging import outbox
from orders_service.store import imports, uploads

QUEUE = "orders.import"


@dataclass(frozen=True)
class Upload:
    """Of which all pieces are in."""

    id: str
    username: str
    request_id: str
    file_name: str
    dry_run: bool
    blocks: int
    lines: int


def accept_upload(tx: Transaction, upload: Upload, batch_no: int | None, now: datetime) -> None:
    """From here on it is imported to the end, whatever happens. Raises Unavailable where it was given up meanwhile."""
    if not uploads.delete_upload(tx, upload.id):
        raise Unavailable("the upload took too long and was given up")
    imports.insert_import(
        tx,
        id=upload.id,
        username=upload.username,
        request_id=upload.request_id,
        file_name=upload.file_name,
        dry_run=upload.dry_run,
        batch_no=batch_no,
        now=now,
        total=upload.lines,
        blocks=upload.blocks,
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
        turn_of(upload.id, 1, upload.request_id),
    )


def turn_of(import_id: str, turn: int, request_id: str) -> outbox.Message:
    return outbox.job(QUEUE, {"task_id": import_id, "turn": turn}, request_id=request_id)


def cancel_import(tx: Transaction, import_id: str) -> None:
    """It ends before its next step."""
    if imports.update_cancelled(tx, import_id):
        return
    if imports.find_status(tx, import_id) is None:
        raise NotFound("import not found")
    raise Conflict("the import has ended already")
