"""Sprockets."""

from datetime import datetime

from chassis.db import Transaction
from chassis.errors import NotFound
from chassis.messaging import outbox
from factory_service.domain import tags
from factory_service.domain.sprockets import NUMBERS
from factory_service.store import collections
from factory_service.store import sprockets as store


def create_sprocket(tx: Transaction, numbers: dict[str, int], now: datetime, request_id: str) -> int:
    id_ = collections.next_id(tx, "sprockets")
    store.insert_sprocket(tx, id_, numbers)
    publish_created(tx, [{"id": id_, **numbers}], now, request_id)
    return id_


def publish_created(tx: Transaction, created: list[dict[str, int]], now: datetime, request_id: str) -> None:
    """Give the list of sprockets a new version and publish the events."""
    collections.update_version(tx, "sprockets")
    outbox.add_all(
        tx,
        (
            outbox.service_event("factory", "SprocketCreated", sprocket, now=now, request_id=request_id)
            for sprocket in created
        ),
    )


def update_sprocket(
    tx: Transaction, id_: int, numbers: dict[str, int], if_match: str | None, now: datetime, request_id: str
) -> None:
    sprocket = _lock_sprocket(tx, id_, if_match)
    new_numbers = {name: numbers.get(name, sprocket[name]) for name in NUMBERS}
    store.update_sprocket(tx, id_, new_numbers)
    _publish_event(tx, "SprocketUpdated", {"id": id_, **new_numbers}, now, request_id)


def delete_sprocket(tx: Transaction, id_: int, if_match: str | None, now: datetime, request_id: str) -> None:
    sprocket = _lock_sprocket(tx, id_, if_match)
    store.delete_sprocket(tx, id_)
    _publish_event(tx, "SprocketDeleted", {"id": id_, **{name: sprocket[name] for name in NUMBERS}}, now, request_id)


def _lock_sprocket(tx: Transaction, id_: int, if_match: str | None) -> dict[str, int]:
    sprocket = store.lock_sprocket(tx, id_)
    if sprocket is None:
        raise unknown_sprocket(id_)
    tags.check(if_match, sprocket["tag"])
    return sprocket


def _publish_event(tx: Transaction, event: str, payload: dict[str, int], now: datetime, request_id: str) -> None:
    """Give the list of sprockets a new version and publish the event."""
    collections.update_version(tx, "sprockets")
    outbox.add(tx, outbox.service_event("factory", event, payload, now=now, request_id=request_id))


def unknown_sprocket(id_: int) -> NotFound:
    return NotFound(f"sprocket {id_} does not exist")
