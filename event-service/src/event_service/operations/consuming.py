"""Consumers move on, refuse, go back."""

from datetime import datetime

from chassis.db import Transaction
from chassis.errors import Invalid, NotFound
from event_service.domain.offsets import Offset, Step, step_of_ack, step_of_nack
from event_service.store import consumers as store

# A contract of two words: what is not there, the stream or the event, makes no difference.
_NOTHING = ""


def acknowledge(tx: Transaction, stream: str, event_id: str, consumer: str, *, up_to: bool, now: datetime) -> None:
    series, sequence = _place(tx, stream, event_id)
    offset = Offset(**store.lock_offset(tx, series, consumer, now))
    is_replayed = not up_to and store.find_replayed_nacks(tx, series, sequence, consumer) is not None
    step = step_of_ack(offset, sequence, up_to=up_to, is_replayed=is_replayed)
    if step is Step.MOVE:
        store.move_offset(tx, series, consumer, sequence, now)
    if up_to or step is Step.FINISH:
        store.delete_replayed(tx, series, consumer, first=0 if up_to else sequence, last=sequence)


def refuse(
    tx: Transaction, stream: str, event_id: str, consumer: str, *, reason: str, limit: int, now: datetime
) -> None:
    series, sequence = _place(tx, stream, event_id)
    offset = Offset(**store.lock_offset(tx, series, consumer, now))
    replayed = store.find_replayed_nacks(tx, series, sequence, consumer)
    step = step_of_nack(offset, sequence, limit=limit, replayed_nacks=replayed)
    if step is Step.COUNT:
        store.count_nack(tx, series, consumer, reason, now)
    elif step is Step.PARK:
        store.park(tx, series, sequence, consumer, offset.nacks + 1, reason, now)
        store.move_offset(tx, series, consumer, sequence, now)
    elif step is Step.COUNT_AGAIN:
        store.count_replayed_nack(tx, series, sequence, consumer, reason)
    elif step is Step.PARK_AGAIN:
        store.park(tx, series, sequence, consumer, (replayed or 0) + 1, reason, now)


def _place(tx: Transaction, stream: str, event_id: str) -> tuple[int, int]:
    place = store.find_place(tx, stream, event_id)
    if place is None:
        raise NotFound(_NOTHING)
    return place


def put_offset(tx: Transaction, stream: str, consumer: str, name: str, offset: int, now: datetime) -> None:
    """On purpose, forwards or back. What is parked above it will be read again, so it is parked no longer."""
    stream_id = store.find_stream_id(tx, stream)
    if stream_id is None:
        raise unknown_stream(stream)
    series = store.find_series(tx, stream_id, name)
    last = series["last"] if series else 0
    if offset > last:
        raise Invalid.field("offset", f"must be between 0 and {last}, the last sequence of {name}")
    if series:
        store.lock_offset(tx, series["id"], consumer, now)
        store.move_offset(tx, series["id"], consumer, offset, now)
        store.delete_parked_above(tx, series["id"], consumer, offset)


def replay_parked(tx: Transaction, stream: str, event_id: str, consumer: str, now: datetime) -> None:
    if not store.replay(tx, stream, event_id, consumer, now):
        raise NotFound(_NOTHING)


def unknown_stream(name: str) -> NotFound:
    return NotFound(f"stream {name}")
