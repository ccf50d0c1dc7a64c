"""Message entry points for slices of imports and for undoing imports, and the timers of the worker."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from pydantic import BaseModel

from chassis.db import Transaction
from chassis.messaging.consumer import ConsumerConfig
from chassis.messaging.delivery import Delivery
from chassis.messaging.message_processor import Interrupted, JobContext
from chassis.messaging.worker import Timer
from chassis.web.input_errors import checked
from orders_service import clients
from orders_service.operations.deletions import UNDO_QUEUE, run_undo
from orders_service.operations.uploading import QUEUE
from orders_service.settings import Settings, limit_polars_threads
from orders_service.store import imports, orders

# After this time the next slice is requested, so that other imports can proceed.
_SLICE_SECONDS = 5.0
# A slice takes at least this many times as long as its beginning, in which a workbook is unpacked again.
_SLICE_FACTOR = 4
# An import with at most this many chunks left, which take about a second, is finished first.
_MAX_OVERTIME_CHUNKS = 64
# The limits of one run of a timer keep its transaction short.
_MAX_DELETED_SEEN_IDS = 100_000
_MAX_BATCH_NUMBERS = 20
# Each step of an import adds rows to the counts; more of them than this are merged.
_MAX_COUNT_ROWS = 1000


class ImportSlice(BaseModel):
    task_id: UUID
    turn: int


def on_import_requested(context: JobContext, delivery: Delivery) -> None:
    """Continue the import from its current position, so that a repeated delivery repeats nothing."""
    # Web processes import this module too, but never need polars.
    limit_polars_threads()
    from orders_service.operations.importing import run_slice

    job = checked(lambda: ImportSlice.model_validate(delivery.body))
    began_at, ends_at = time.monotonic(), 0.0

    def is_time_up(chunks_left: int) -> bool:
        nonlocal ends_at
        now = time.monotonic()
        # Decided after the first step: to open a large workbook may take longer than a slice.
        ends_at = ends_at or now + max(_SLICE_SECONDS, _SLICE_FACTOR * (now - began_at))
        return context.stop_event.is_set() or (now > ends_at and chunks_left > _MAX_OVERTIME_CHUNKS)

    policy = context.settings.policy
    ended = run_slice(context.database, str(job.task_id), job.turn, policy, lambda: datetime.now(UTC), is_time_up)
    if ended:
        context.metrics.count(ended)


class Undo(BaseModel):
    task_id: UUID


def on_undo_requested(context: JobContext, delivery: Delivery) -> None:
    """Continue the undo from its current position until it is finished."""
    job = checked(lambda: Undo.model_validate(delivery.body))
    if not run_undo(context.database, str(job.task_id), lambda: datetime.now(UTC), context.stop_event.is_set):
        raise Interrupted


def delete_stale_data(tx: Transaction, _now: datetime) -> None:
    """Delete the data of interrupted uploads and finished imports, and merge the counts of orders."""
    imports.delete_stale_uploads(tx)
    orders.delete_orphaned_seen_ids(tx, _MAX_DELETED_SEEN_IDS)
    orders.merge_counts(tx, _MAX_COUNT_ROWS)


def assign_batch_numbers(tx: Transaction, sequence_url: str) -> None:
    """Number imports that were accepted while sequence-service was unavailable."""
    batch_numbers: dict[str, int] = {}
    for row in imports.list_without_batch_no(tx, _MAX_BATCH_NUMBERS):
        batch_no = clients.issue_batch_no(sequence_url, row["id"], row["request_id"])
        if batch_no is None:
            break
        batch_numbers[row["id"]] = batch_no
    # Updated only now: a locked import must not wait for another service.
    for import_id, batch_no in batch_numbers.items():
        imports.update_batch_no(tx, import_id, batch_no)


HANDLERS = {
    QUEUE: ConsumerConfig(on_import_requested, is_long_running=True),
    UNDO_QUEUE: ConsumerConfig(on_undo_requested, is_long_running=True),
}


def timers(settings: Settings) -> Mapping[str, Timer]:
    return {
        "delete_stale_data": Timer(15, delete_stale_data),
        "batch_no": Timer(5, lambda tx, _now: assign_batch_numbers(tx, settings.sequence_url)),
    }
