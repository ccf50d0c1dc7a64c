"""Creates factories or sprockets from the entries of a load file, or records production, in the order of the file.

Each step is a transaction that names its entry or batch, and does nothing if the load is past it. So a worker that
restarts a load after a crash, or concurrently with another worker, creates no duplicates.
"""

from datetime import datetime

from chassis.db import Transaction
from chassis.messaging import outbox
from factory_service.domain.charts import Points
from factory_service.domain.files import Entry
from factory_service.operations import factories, sprockets
from factory_service.store import collections, entries
from factory_service.store import factories as factory_store
from factory_service.store import loads as store

# Below every send number of production, so that production sent to the factory later wins.
_MIN_SEND_NUMBER = -(2**40)


def begin_factory(tx: Transaction, load: str, number: int, digest: bytes) -> bool:
    """Assign an ID to the factory of the entry and return true, so that its points are added.

    Return false if the entry was loaded before, or if the load is past it.
    """
    state = store.lock_load(tx, load, number)
    if state is None or state["factory_id"]:
        return state is not None
    # The lock prevents two concurrent loads from both creating a factory for equal entries.
    collections.lock_collection(tx, "factories")
    (ordinal,) = entries.assign_ordinals(tx, load, [digest])
    if entries.is_loaded(tx, digest, ordinal):
        store.update_progress(tx, load, number + 1, skipped=1)
        return False
    factory_id = collections.next_id(tx, "factories")
    entries.insert_loaded_entry(tx, digest, ordinal, "factories", factory_id)
    store.update_factory_id(tx, load, factory_id)
    return True


def add_points(tx: Transaction, load: str, number: int, batch: int, points: Points) -> None:
    """Add points to a factory that no client can see yet. For equal times in two batches the later batch wins."""
    if state := store.lock_load(tx, load, number):
        factory_store.insert_points(tx, state["factory_id"], points, _MIN_SEND_NUMBER + batch)


def finish_factory(tx: Transaction, load: str, number: int, now: datetime) -> None:
    state = store.lock_load(tx, load, number)
    if state is None:
        return
    factory_id = state["factory_id"]
    point_count = factory_store.count_points(tx, factory_id)
    factory_store.insert_factory(tx, factory_id, f"Factory {factory_id}", point_count)
    factories.publish_created(tx, factory_id, now, state["request_id"])
    store.update_progress(tx, load, number + 1, factories=1, points=point_count)


def add_sprockets(tx: Transaction, load: str, first: int, batch: list[Entry], now: datetime) -> None:
    state = store.lock_load(tx, load, first)
    if state is None:
        return
    collections.lock_collection(tx, "sprockets")
    created = entries.insert_sprockets(tx, load, batch)
    if created:
        sprockets.publish_created(tx, created, now, state["request_id"])
    store.update_progress(tx, load, first + len(batch), sprockets=len(created), skipped=len(batch) - len(created))


def add_production(tx: Transaction, load: str, number: int, points: Points, now: datetime) -> bool:
    """Record a batch of a file of production, unless the load is past it; return False if its factory was deleted."""
    state = store.lock_load(tx, load, number)
    if state is None:
        return True
    factory_id = state["production_factory_id"]
    point_count = factories.record_production(tx, factory_id, points, state["sent"], now, state["request_id"])
    if point_count is None:
        return False
    store.update_progress(tx, load, number + 1, points=len(points))
    return True


def finish_load(tx: Transaction, load: str, error: str | None, now: datetime) -> None:
    state = store.lock_load(tx, load)
    if state is None:
        return
    counts = store.finish_load(tx, load, error)
    if error is None:
        outbox.add(tx, outbox.service_event("factory", "DataLoaded", counts, now=now, request_id=state["request_id"]))
