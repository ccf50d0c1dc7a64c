"""Undoing imports: deleting the orders that they created."""

from datetime import UTC, datetime

from flask import Blueprint, Response, g
from flask.typing import ResponseReturnValue
from typing_extensions import TypedDict

from chassis.db import Transaction
from chassis.web.idempotency import run_idempotent
from chassis.web.validation import endpoint
from orders_service.operations import deletions
from orders_service.routes import examples
from orders_service.routes.i18n import translate
from orders_service.routes.import_status import (
    BatchNumber,
    TaskPath,
    UndoStatus,
    render_undo,
    require_import,
    require_uuid,
)
from orders_service.routes.responses import COMMON_ERRORS, KEY_REUSED, Query, envelope, error_response, success_response
from orders_service.store import imports

bp = Blueprint("import_undo", __name__, url_prefix="/acme_orders/api/v1/orders/import")


class ImportUndo(TypedDict):
    task_id: str
    batch_no: BatchNumber
    undo: UndoStatus


@bp.delete("/<task_id>")
@endpoint(
    "Undo an import that has ended: delete the orders that it created; those that it updated are not restored",
    {
        202: success_response(
            "The orders will be deleted; the status shows the progress",
            "ImportUndoneResponse",
            ImportUndo,
            headers=("Location",),
            example=examples.UNDONE,
        ),
        409: error_response(
            "NotUndoable",
            "The import is running, is a dry run, is older than undo, or is or was already undone. "
            "Or the first request with this `Idempotency-Key` is still in progress",
        ),
        422: KEY_REUSED,
        **COMMON_ERRORS,
    },
    path=TaskPath,
    query=Query,
    idempotent=True,
    tag="imports",
    description="The orders are deleted in the background; the status at the `Location` shows the progress in "
    "`undo`. An import can be undone once.",
)
def undo_import(task_id: str, query: Query) -> Response:
    def run(tx: Transaction) -> ResponseReturnValue:
        deletions.request_undo(tx, require_uuid(task_id), g.request_id, datetime.now(UTC))
        row = require_import(imports.find_status(tx, task_id))
        result = {"task_id": row["task_id"], "batch_no": row["batch_no"], "undo": render_undo(row)}
        message = translate("undoing the import; updated orders that are not restored: %(count)s", count=row["updated"])
        response = envelope(result, message, 202)
        response.headers["Location"] = f"{bp.url_prefix}/status/{row['task_id']}"
        return response

    return run_idempotent(run)
