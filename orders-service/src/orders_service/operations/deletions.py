"""Deletion of orders: single ones, and all that an import created."""

from collections.abc import Callable
from datetime import datetime

from chassis.db import Database, Transaction
from chassis.errors import Conflict, NotFound
from chassis.messaging import outbox
from orders_service.store import orders, undos

UNDO_QUEUE = "orders.undo"
_MAX_ORDERS_PER_STEP = 10_000


def delete_order(tx: Transaction, order_id: int) -> None:
    orders.lock_changes(tx, is_exclusive=False)
    count = orders.delete_order(tx, order_id)
    if count is None:
        raise NotFound("order not found")
    orders.insert_counts(tx, [count])


def request_undo(tx: Transaction, import_id: str, request_id: str, now: datetime) -> None:
    """Request that the orders that the import created be deleted; raise Conflict if that is not possible."""
    import_ = undos.lock_undo(tx, import_id)
    if import_ is None:
        raise NotFound("import not found")
    if import_["status"] in ("PENDING", "PROGRESS"):
        raise Conflict("the import is still running; cancel it first, or wait until it has ended")
    if import_["dry_run"]:
        raise Conflict("the import was a dry run, which stores no orders")
    if import_["undo_status"] == "SUCCESS":
        raise Conflict("the import has already been undone")
    if import_["undo_status"]:
        raise Conflict("the import is already being undone")
    if not import_["has_known_orders"]:
        raise Conflict("the import was made by an earlier version, which did not record the orders that it created")
    undos.update_undo_requested(tx, import_id, request_id, now)
    outbox.add(tx, outbox.job(UNDO_QUEUE, {"task_id": import_id}, request_id=request_id))


def run_undo(
    database: Database, import_id: str, clock: Callable[[], datetime], is_stopping: Callable[[], bool]
) -> bool:
    """Delete the orders in steps of one transaction each; return False if it was stopped before the last one.

    The process may be killed at any moment and the job may be repeated, also concurrently: each step locks the import
    and begins where the last committed one ended.
    """
    has_more_steps = True
    while has_more_steps:
        if is_stopping():
            return False
        with database.transaction() as tx:
            has_more_steps = _run_step(tx, import_id, clock())
    return True


def _run_step(tx: Transaction, import_id: str, now: datetime) -> bool:
    """Delete the orders in the next range of IDs; return whether there are more."""
    undo = undos.lock_undo(tx, import_id)
    if undo is None or undo["undo_status"] not in ("PENDING", "PROGRESS"):
        return False
    orders.lock_changes(tx, is_exclusive=True)
    next_id, last_id = undo["next_id"], undo["last_id"]
    end = None if next_id is None else orders.find_range_end(tx, next_id, last_id, _MAX_ORDERS_PER_STEP)
    counts = [] if end is None else orders.delete_created(tx, undo["number"], next_id, end)
    orders.insert_counts(tx, counts)
    deleted = -sum(count for _, _, count in counts)
    if end is not None and end < last_id:
        undos.update_undo_progress(tx, import_id, deleted, end + 1)
        return True
    payload = undos.update_undo_finished(tx, import_id, deleted, now)
    event = outbox.service_event("orders", "OrdersImportUndone", payload, now=now, request_id=undo["undo_request_id"])
    outbox.add(tx, event)
    return False
