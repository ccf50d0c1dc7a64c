"""The entries of a file become factories or sprockets, in the order of the file.

Each step is a transaction that names its entry, and does nothing if the load is past that entry. So a worker that
begins the file again after a crash, or while another one still runs, adds nothing twice.
"""

from datetime import datetime

from chassis.db import Transaction
from chassis.messaging import outbox
from factory_service.domain.charts import Points
from factory_service.domain.files import Entry
from factory_service.operations import factories, sprockets
from factory_service.store import collections, entries
from factory_service.store import factories as store_of_factories
from factory_service.store import loads as store

# Below every number of production: what is sent to the factory later wins.
_BEFORE_ALL = -(2**40)


def begin_factory(tx: Transaction, load: str, number: int, digest: bytes) -> bool:
    """Whether its points are needed: it is not loaded yet."""
    state = store.lock_load(tx, load, number)
    if state is None or state["factory_id"]:
        return state is not None
    # Another load waits for the lock, so two cannot both be the first to load an entry.
    collections.lock(tx, "factories")
    (ordinal,) = entries.next_ordinals(tx, load, [digest])
    if entries.is_loaded(tx, digest, ordinal):
        store.keep_progress(tx, load, number + 1, skipped=1)
        return False
    factory_id = collections.take_id(tx, "factories")
    entries.insert_loaded(tx, digest, ordinal, "factories", factory_id)
    store.set_factory(tx, load, factory_id)
    return True


def add_points(tx: Transaction, load: str, number: int, batch: int, points: Points) -> None:
    """No client sees the factory before it is complete. Of equal times in two batches the later one wins."""
    if state := store.lock_load(tx, load, number):
        store_of_factories.insert_points(tx, state["factory_id"], points, _BEFORE_ALL + batch)


def finish_factory(tx: Transaction, load: str, number: int, now: datetime) -> None:
    state = store.lock_load(tx, load, number)
    if state is None:
        return
    factory_id = state["factory_id"]
    points = store_of_factories.count_points(tx, factory_id)
    store_of_factories.insert_factory(tx, factory_id, f"Factory {factory_id}", points)
    factories.tell_created(tx, factory_id, now, state["request_id"])
    store.keep_progress(tx, load, number + 1, factories=1, points=points)


def add_sprockets(tx: Transaction, load: str, first: int, batch: list[Entry], now: datetime) -> None:
    state = store.lock_load(tx, load, first)
    if state is None:
        return
    collections.lock(tx, "sprockets")
    created = entries.insert_sprockets(tx, load, batch)
    if created:
        sprockets.tell_created(tx, created, now, state["request_id"])
    store.keep_progress(tx, load, first + len(batch), sprockets=len(created), skipped=len(batch) - len(created))


def finish(tx: Transaction, load: str, error: str | None, now: datetime) -> None:
    state = store.lock_load(tx, load)
    if state is None:
        return
    counts = store.finish_load(tx, load, error)
    if error is None:
        outbox.add(tx, outbox.service_event("factory", "DataLoaded", counts, now=now, request_id=state["request_id"]))
