"""Consumers move on, refuse, go back."""

from datetime import datetime

from chassis.db import Transaction
from chassis.errors import Invalid, NotFound
from event_service.domain.offsets import Offset, Step, step_of_ack, step_of_nack
from event_service.domain.ownership import Caller, not_owner_of_consumer
from event_service.store import consumers as store
from event_service.store import ownership, streams

# A contract of two words: what is not there, the stream or the event, makes no difference.
_NOTHING = ""


def acknowledge(
    tx: Transaction, stream: str, event_id: str, consumer: str, caller: Caller, *, up_to: bool, now: datetime
) -> None:
    series, sequence = _claim(tx, stream, event_id, consumer, caller)
    offset = Offset(**store.lock_offset(tx, series, consumer, now))
    is_replayed = not up_to and store.find_replayed_nacks(tx, series, sequence, consumer) is not None
    step = step_of_ack(offset, sequence, up_to=up_to, is_replayed=is_replayed)
    if step is Step.MOVE:
        store.move_offset(tx, series, consumer, sequence, now)
    if up_to or step is Step.FINISH:
        store.delete_replayed(tx, series, consumer, first=0 if up_to else sequence, last=sequence)


def refuse(
    tx: Transaction,
    stream: str,
    event_id: str,
    consumer: str,
    caller: Caller,
    *,
    reason: str,
    limit: int,
    now: datetime,
) -> None:
    series, sequence = _claim(tx, stream, event_id, consumer, caller)
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


def _claim(tx: Transaction, stream: str, event_id: str, consumer: str, caller: Caller) -> tuple[int, int]:
    """Return (series, sequence) of the event once the consumer is one that the caller may use."""
    event = _locate(tx, stream, event_id, consumer)
    _become_owner(tx, event.stream_id, consumer, event.owner, caller)
    return event.series, event.sequence


def _locate(tx: Transaction, stream: str, event_id: str, consumer: str) -> store.EventLocation:
    event = store.find_event_location(tx, stream, event_id, consumer)
    if event is None:
        raise NotFound(_NOTHING)
    return event


def _become_owner(tx: Transaction, stream_id: int, consumer: str, owner: str | None, caller: Caller) -> None:
    """Make a consumer without an owner the caller's, regardless of the caller's role.

    A claim lasts only if the transaction commits: a request that fails claims nothing.
    """
    if owner is None and caller.user is not None:
        owner = ownership.claim_consumer(tx, stream_id, consumer, caller.user)
    if not caller.may_act_for(owner):
        raise not_owner_of_consumer()


def put_offset(
    tx: Transaction, stream: str, consumer: str, caller: Caller, *, name: str, offset: int, now: datetime
) -> None:
    """On purpose, forwards or back. What is parked above it will be read again, so it is parked no longer."""
    stream_id = get_stream_id(tx, stream)
    _become_owner(tx, stream_id, consumer, ownership.find_consumer_owner(tx, stream_id, consumer), caller)
    series = streams.find_series(tx, stream_id, name)
    if series is None:
        raise NotFound(f"stream {stream} has no event {name}")
    if offset > series["last"]:
        raise Invalid.field("offset", f"must be between 0 and {series['last']}, the last sequence of {name}")
    store.lock_offset(tx, series["id"], consumer, now)
    store.move_offset(tx, series["id"], consumer, offset, now)
    store.delete_parked_above(tx, series["id"], consumer, offset)


def replay_parked(tx: Transaction, stream: str, event_id: str, consumer: str, caller: Caller, now: datetime) -> None:
    """Claims nothing: it neither acknowledges nor moves the offset."""
    event = _locate(tx, stream, event_id, consumer)
    if not caller.may_act_for(event.owner):
        raise not_owner_of_consumer()
    if not store.replay(tx, event.series, event.sequence, consumer, now):
        raise NotFound(_NOTHING)


def unknown_stream(name: str) -> NotFound:
    return NotFound(f"stream {name}")


def get_stream_id(tx: Transaction, name: str) -> int:
    stream = streams.find_stream(tx, name)
    if stream is None:
        raise unknown_stream(name)
    return int(stream["id"])
