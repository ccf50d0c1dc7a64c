"""Factories and their production."""

from datetime import datetime

from chassis.db import Transaction
from chassis.errors import NotFound
from chassis.messaging import outbox
from factory_service.domain import tags
from factory_service.domain.charts import Points
from factory_service.store import collections, rollups
from factory_service.store import factories as store

# Other clients that create factories wait for the ID. Roll-ups of a larger chart, which may need four for each of its
# points, are built later.
_MAX_ROLLED_UP_POINTS = 2000


def create_factory(tx: Transaction, name: str, points: Points, now: datetime, request_id: str) -> int:
    id_ = collections.next_id(tx, "factories")
    store.insert_factory(tx, id_, name, len(points))
    if len(points) > _MAX_ROLLED_UP_POINTS:
        rollups.insert_incomplete(tx, id_)
    if len(points):
        store.insert_points(tx, id_, points, store.next_send_number(tx))
    publish_created(tx, id_, now, request_id)
    return id_


def publish_created(tx: Transaction, id_: int, now: datetime, request_id: str) -> None:
    """Give the list of factories a new version and publish the event."""
    collections.update_version(tx, "factories")
    outbox.add(tx, outbox.service_event("factory", "FactoryCreated", {"id": id_}, now=now, request_id=request_id))


def delete_factory(tx: Transaction, id_: int, if_match: str | None, now: datetime, request_id: str) -> None:
    tag = store.lock_factory(tx, id_)
    if tag is None:
        raise unknown_factory(id_)
    tags.check(if_match, tag)
    store.delete_factory(tx, id_)
    collections.update_version(tx, "factories")
    outbox.add(tx, outbox.service_event("factory", "FactoryDeleted", {"id": id_}, now=now, request_id=request_id))


def accept_production(tx: Transaction, id_: int, points: Points, request_id: str) -> None:
    """Send the points to the worker. The greatest send number wins, regardless of the order of processing."""
    body = {
        "factory": id_,
        "sent": next_send_number(tx, id_),
        "time": points.time,
        "actual": points.actual,
        "goal": points.goal,
    }
    outbox.add(tx, outbox.job("factory.production", body, request_id=request_id))


def next_send_number(tx: Transaction, id_: int) -> int:
    """Return the number of production that is accepted now; raise NotFound if the factory does not exist."""
    if not store.exists(tx, id_):
        raise unknown_factory(id_)
    return store.next_send_number(tx)


def record_production(
    tx: Transaction, id_: int, points: Points, send_number: int, now: datetime, request_id: str
) -> int | None:
    """Add the points to the chart and return how many it has; drop them and return None if the factory was deleted."""
    if store.lock_factory(tx, id_) is None:
        return None
    point_count = store.add_to_point_count(tx, id_, store.insert_points(tx, id_, points, send_number))
    collections.update_version(tx, "factories")
    payload = {"id": id_, "points": len(points), "from": points.time[0], "to": points.time[-1]}
    outbox.add(tx, outbox.service_event("factory", "ProductionRecorded", payload, now=now, request_id=request_id))
    return point_count


def unknown_factory(id_: int) -> NotFound:
    return NotFound(f"factory {id_} does not exist")
