"""The status of imports: following, listing and cancelling them."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, Response
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.errors import NotFound
from chassis.web.app import transaction
from chassis.web.validation import endpoint
from orders_service.operations import uploading
from orders_service.routes import examples, messages
from orders_service.routes.i18n import translate
from orders_service.routes.responses import COMMON_ERRORS, PageQuery, Query, envelope, error_response, success_response
from orders_service.store import imports

bp = Blueprint("import_status", __name__, url_prefix="/acme_orders/api/v1/orders/import/status")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_NOT_FOUND = "import not found"


BatchNumber = Annotated[int | None, Field(description="From sequence-service; null until that is reachable")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class TaskQuery(PageQuery):
    task_id: str | None = Field(None, description="Return only this import")


class TaskPath(BaseModel):
    task_id: Annotated[
        str, Field(description="UUID of the import", examples=[examples.TASK_ID], json_schema_extra={"format": "uuid"})
    ]


class ImportTask(TypedDict):
    task_id: str
    batch_no: BatchNumber


class UndoStatus(TypedDict):
    status: Literal["PENDING", "PROGRESS", "SUCCESS"]
    deleted: Annotated[int, Field(description="Number of orders that are deleted so far")]
    not_restored: Annotated[int, Field(description="Number of orders that the import updated")]
    requested_at: Time
    finished_at: Time | None


class ImportStatus(TypedDict):
    task_id: str
    batch_no: BatchNumber
    file_name: str
    dry_run: bool
    on_duplicate: Literal["skip", "update"]
    status: Literal["PENDING", "PROGRESS", "SUCCESS", "FAILURE"]
    current: Annotated[int, Field(description="Number of rows that are imported so far")]
    total: Annotated[int, Field(description="Number of rows; an estimate until the import ends")]
    percent: Annotated[float, Field(description="`current` of `total`; 100 only after a success")]
    valid: Annotated[int, Field(description="Number of orders that pass all rules")]
    invalid: Annotated[int, Field(description="Number of stored orders that violate a rule")]
    updated: Annotated[int, Field(description="Number of stored orders that were replaced; also in valid or invalid")]
    duplicates: Annotated[int, Field(description="Number of rows whose ID exists already")]
    rejected: Annotated[int, Field(description="Number of rows that cannot be an order")]
    ignored_columns: Annotated[list[str], Field(description="Unknown columns of the file")]
    rows_per_second: Annotated[float, Field(description="Average since the import started")]
    started_at: Time | None
    finished_at: Time | None
    message: Annotated[str, Field(description="The result, or the reason of a failure; empty until the import ends")]
    undo: Annotated[UndoStatus | None, Field(description="null if the import was not undone")]


@bp.get("")
@endpoint(
    "List imports, newest first, or get one of them",
    {
        200: success_response(
            "A page of imports, or one import",
            "ImportListResponse",
            list[ImportStatus] | ImportStatus,
            example=examples.STATUSES,
            total=Annotated[int, Field(description="Number of imports; omitted with `task_id`")],
        ),
        **COMMON_ERRORS,
    },
    query=TaskQuery,
    tag="imports",
    description="With `task_id`, the result is that import instead of a list.",
)
def list_imports(query: TaskQuery) -> Response:
    if query.task_id is not None:
        return _get_status(query.task_id)
    with transaction() as tx:
        rows = imports.list_statuses(tx, query.limit, query.offset)
        total = imports.count_imports(tx)
    return envelope([_render_status(row) for row in rows], total=total)


@bp.get("/<task_id>")
@endpoint(
    "Get the status of an import",
    {
        200: success_response(
            "The status of the import", "ImportStatusResponse", ImportStatus, example=examples.STATUS
        ),
        **COMMON_ERRORS,
    },
    path=TaskPath,
    query=Query,
    tag="imports",
    description="`valid + invalid + duplicates + rejected = current` always holds; at the end, `current = total`. "
    "`current` increases at least once per second.",
)
def get_import(task_id: str, query: Query) -> Response:
    return _get_status(task_id)


def _get_status(task_id: str) -> Response:
    with transaction() as tx:
        return envelope(_render_status(require_import(imports.find_status(tx, require_uuid(task_id)))))


def require_uuid(task_id: str) -> str:
    if not _UUID.match(task_id):
        raise NotFound(_NOT_FOUND)
    return task_id


def require_import(row: dict[str, Any] | None) -> dict[str, Any]:
    if row is None:
        raise NotFound(_NOT_FOUND)
    return row


def _render_status(row: dict[str, Any]) -> dict[str, Any]:
    seconds, current, total = row["seconds"] or 0.0, row["current"], max(row["total"], row["current"])
    has_ended = row["finished_at"] is not None
    return {
        **{name: row[name] for name in ("task_id", "batch_no", "file_name", "dry_run")},
        "on_duplicate": "update" if row["may_update"] else "skip",
        **{name: row[name] for name in ("status", "current")},
        "total": total,
        "percent": 100.0
        if row["status"] == "SUCCESS"
        else min(round(100 * current / total, 1) if total else 0.0, 99.9),
        **{name: row[name] for name in ("valid", "invalid", "updated", "duplicates", "rejected")},
        "ignored_columns": strictjson.loads((row["ignored_columns"] or "[]").encode()),
        "rows_per_second": round(current / seconds, 1) if seconds > 0 else 0.0,
        "started_at": _format_time(row["started_at"]),
        "finished_at": _format_time(row["finished_at"]),
        "message": messages.status_message(row) if has_ended else "",
        "undo": render_undo(row),
    }


def render_undo(row: dict[str, Any]) -> dict[str, Any] | None:
    """Return the status of the undo, None if none was requested; updated orders are not restored."""
    if row["undo_status"] is None:
        return None
    return {
        "status": row["undo_status"],
        "deleted": row["undo_deleted"],
        "not_restored": row["updated"],
        "requested_at": _format_time(row["undo_requested_at"]),
        "finished_at": _format_time(row["undo_finished_at"]),
    }


def _format_time(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None


@bp.delete("/<task_id>")
@endpoint(
    "Cancel an import; orders that are already stored are kept",
    {
        202: success_response(
            "The import will end before its next step",
            "ImportCancelledResponse",
            ImportTask,
            example=examples.CANCELLED,
        ),
        409: error_response("ImportEnded", "The import has already ended"),
        **COMMON_ERRORS,
    },
    path=TaskPath,
    query=Query,
    tag="imports",
    description="The import ends with the status FAILURE. To delete the orders that it stored, undo it.",
)
def cancel_import(task_id: str, query: Query) -> Response:
    with transaction() as tx:
        uploading.cancel_import(tx, require_uuid(task_id))
        row = require_import(imports.find_status(tx, task_id))
    return envelope({"task_id": row["task_id"], "batch_no": row["batch_no"]}, translate("cancelling"), 202)
