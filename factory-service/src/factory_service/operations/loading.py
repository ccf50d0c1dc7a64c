"""A file becomes factories or sprockets: first all of it is read and checked, then its entries are taken in.

Each step is a transaction that begins where the last one ended, so whoever goes on after a crash repeats nothing.
"""

from datetime import datetime
from typing import Any

from chassis import outbox, strictjson
from chassis.db import Transaction
from chassis.errors import Invalid
from factory_service.domain.files import Reader
from factory_service.operations import factories, sprockets
from factory_service.store import collections, load_entries
from factory_service.store import factories as store_of_factories
from factory_service.store import loads as store

_CHUNKS_AT_ONCE = 4
_SPROCKETS_AT_ONCE = 1000
_PARTS_AT_ONCE = 5


def step(tx: Transaction, id_: str, now: datetime) -> bool:
    """Whether there is more to do."""
    load = store.lock_load(tx, id_)
    if load is None:
        return False
    try:
        if _read_on(tx, id_, load):
            return True
    except Invalid as problem:
        _finish(tx, id_, load["request_id"], problem.detail, now)
        return False
    entry = load_entries.find_entry(tx, id_, load["next_entry"])
    if entry is None:
        _finish(tx, id_, load["request_id"], None, now)
        return False
    take_in = _take_in_factory if entry["sprocket"] is None else _take_in_sprockets
    take_in(tx, id_, load, entry, now)
    return True


def _read_on(tx: Transaction, id_: str, load: dict[str, Any]) -> bool:
    """Whether anything was left to be read."""
    reader = Reader(**strictjson.loads(load["reader"].encode()))
    first = number = load["next_chunk"]
    while number < first + _CHUNKS_AT_ONCE:
        content = store.find_chunk(tx, id_, number)
        if content is None:
            break
        load_entries.keep_read(tx, id_, reader.feed(content))
        number += 1
    if number > first:
        store.keep_reader(tx, id_, reader.as_json(), number)
    elif load["next_entry"] == 0:
        reader.finish()
    return number > first


def _take_in_factory(tx: Transaction, id_: str, load: dict[str, Any], entry: dict[str, Any], now: datetime) -> None:
    """A few parts at a time. Nobody sees the factory before it is whole."""
    number, factory_id, part = load["next_entry"], entry["factory_id"], load["next_part"]
    if factory_id is None:
        factory_id = _claim_factory(tx, entry)
        if factory_id is None:
            store.keep_progress(tx, id_, number + 1, 0, skipped=1)
            return
        load_entries.begin_factory(tx, id_, number, factory_id)
    until = min(part + _PARTS_AT_ONCE, entry["parts"])
    for each in range(part, until):
        load_entries.insert_part(tx, id_, number, each, factory_id)
    if until < entry["parts"]:
        store.keep_progress(tx, id_, number, until)
        return
    points = load_entries.count_points(tx, factory_id)
    store_of_factories.insert_factory(tx, factory_id, f"Factory {factory_id}", points)
    factories.tell_created(tx, factory_id, now, load["request_id"])
    store.keep_progress(tx, id_, number + 1, 0, factories=1, points=points)


def _take_in_sprockets(tx: Transaction, id_: str, load: dict[str, Any], _entry: dict[str, Any], now: datetime) -> None:
    first = load["next_entry"]
    count = load_entries.count_entries(tx, id_, first, _SPROCKETS_AT_ONCE)
    collections.lock(tx, "sprockets")
    made = load_entries.insert_sprockets(tx, id_, first, count)
    if made:
        sprockets.tell_created(tx, made, now, load["request_id"])
    store.keep_progress(tx, id_, first + count, 0, sprockets=len(made), skipped=count - len(made))


def _claim_factory(tx: Transaction, entry: dict[str, Any]) -> int | None:
    """Its new id; None where it was loaded before. Others wait for the lock, so two cannot both be first."""
    collections.lock(tx, "factories")
    if load_entries.is_loaded(tx, entry["digest"], entry["ordinal"]):
        return None
    id_ = collections.take_id(tx, "factories")
    load_entries.insert_loaded(tx, entry["digest"], entry["ordinal"], "factories", id_)
    return id_


def _finish(tx: Transaction, id_: str, request_id: str, error: str | None, now: datetime) -> None:
    done = store.finish_load(tx, id_, error)
    if error is None:
        outbox.add(tx, outbox.service_event("factory", "DataLoaded", done, now=now, request_id=request_id))
