"""Messages in: work on imports; and what has to be looked after now and then."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from chassis.db import Transaction
from chassis.messaging.attempts import Delivery, Surroundings
from chassis.messaging.consumer import Consumption
from chassis.messaging.worker import Timer
from chassis.web.validation import checked
from orders_service import clients
from orders_service.operations.uploading import QUEUE
from orders_service.settings import Settings, spare_memory
from orders_service.store import imports, orders, uploads

# Then another import has its turn. Between two turns nothing is stored for 0.15 s.
_TURN_SECONDS = 5.0
# What has no more left ends first, which takes about a second.
_LITTLE_BLOCKS = 64
_SILENT_SECONDS = 120
_MOST_BLOCKS, _MOST_DRY_IDS, _MOST_COUNTS, _MOST_BATCH_NOS = 800, 100_000, 1000, 20


class Turn(BaseModel):
    task_id: UUID
    turn: int


def on_import_requested(around: Surroundings, delivery: Delivery) -> None:
    """A turn of the import: steps from where it stands, so that a repetition goes on instead of repeating."""
    # Not in a web process, which has this module's neighbours but never needs polars.
    spare_memory()
    from orders_service.operations.importing import Import

    wanted = _turn_in(delivery.body)
    until = time.monotonic() + _TURN_SECONDS

    def is_time_up(blocks_left: int) -> bool:
        return around.ending.is_set() or (time.monotonic() > until and blocks_left > _LITTLE_BLOCKS)

    work = Import(around.database, str(wanted.task_id), wanted.turn, around.settings.policy)
    work.take_turn(lambda: datetime.now(UTC), is_time_up)


def _turn_in(body: Any) -> Turn:
    return checked(lambda: Turn.model_validate(body))


def clear_away(tx: Transaction, _now: datetime) -> None:
    """What uploads that broke off and imports that ended have left."""
    uploads.delete_silent_uploads(tx, _SILENT_SECONDS)
    uploads.delete_blocks_of_nobody(tx, _MOST_BLOCKS)
    orders.delete_dry_ids_of_nobody(tx, _MOST_DRY_IDS)
    orders.sum_up_counts(tx, _MOST_COUNTS)


def number_batches(tx: Transaction, sequence_url: str) -> None:
    """Of imports that were accepted while sequence-service was down."""
    drawn: dict[str, int] = {}
    for waiting in imports.list_without_batch_no(tx, _MOST_BATCH_NOS):
        batch_no = clients.draw_batch_no(sequence_url, waiting["id"], waiting["request_id"])
        if batch_no is None:
            break
        drawn[waiting["id"]] = batch_no
    # Only now: an import whose row is locked must not wait for another service.
    for import_id, batch_no in drawn.items():
        imports.update_batch_no(tx, import_id, batch_no)


HANDLERS = {QUEUE: Consumption(on_import_requested, is_long=True)}


def timers(settings: Settings) -> Mapping[str, Timer]:
    return {
        "clear_away": Timer(5, clear_away),
        "batch_no": Timer(2, lambda tx, _now: number_batches(tx, settings.sequence_url)),
    }
