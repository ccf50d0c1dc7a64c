"""Messages in: the steps of imports; and what has to be looked after now and then."""

import functools
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chassis.attempts import Delivery
from chassis.consumer import Consumption
from chassis.db import Transaction
from chassis.errors import Invalid
from chassis.worker import Timer
from orders_service import clients
from orders_service.operations.uploading import QUEUE
from orders_service.settings import Settings, spare_memory
from orders_service.store import imports, orders, uploads

# Progress is seen once a step.
_STEP_SECONDS = 0.5
_SILENT_SECONDS = 120
_MOST_BLOCKS, _MOST_DRY_IDS, _MOST_COUNTS = 200, 100_000, 1000
_MOST_BATCH_NOS = 20

_settings = functools.cache(Settings.load)


def on_import_requested(tx: Transaction, delivery: Delivery) -> None:
    """One step of the import."""
    # Not in a web process, which has this module's neighbours but never needs polars.
    spare_memory()
    from orders_service.operations.importing import take_step

    until = time.monotonic() + _STEP_SECONDS
    take_step(tx, _task_id(delivery.body), _settings().policy, datetime.now(UTC), lambda: time.monotonic() > until)


def _task_id(body: Any) -> str:
    try:
        return str(UUID(body["task_id"]))
    except (TypeError, KeyError, ValueError, AttributeError):
        raise Invalid.field("task_id", "must be a UUID") from None


def _clear_away(tx: Transaction, _now: datetime) -> None:
    """What uploads that broke off and imports that ended have left."""
    uploads.delete_silent_uploads(tx, _SILENT_SECONDS)
    uploads.delete_blocks_of_nobody(tx, _MOST_BLOCKS)
    orders.delete_dry_ids_of_nobody(tx, _MOST_DRY_IDS)
    orders.sum_up_counts(tx, _MOST_COUNTS)


def _number_batches(tx: Transaction, _now: datetime) -> None:
    """Of imports that were accepted while sequence-service was down."""
    drawn: dict[str, int] = {}
    for waiting in imports.list_without_batch_no(tx, _MOST_BATCH_NOS):
        batch_no = clients.draw_batch_no(_settings().sequence_url, waiting["id"], waiting["request_id"])
        if batch_no is None:
            break
        drawn[waiting["id"]] = batch_no
    # Only now: an import whose row is locked must not wait for another service.
    for import_id, batch_no in drawn.items():
        imports.update_batch_no(tx, import_id, batch_no)


HANDLERS = {QUEUE: Consumption(on_import_requested)}
TIMERS = {"clear_away": Timer(5, _clear_away), "batch_no": Timer(2, _number_batches)}
