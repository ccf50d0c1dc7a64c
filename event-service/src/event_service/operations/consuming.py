"""Use cases of consumers: ACK, NACK, offsets and replay."""

from datetime import datetime

from chassis.db import Transaction
from chassis.errors import Invalid, NotFound
from event_service.domain.offsets import Offset, OffsetAction, decide_ack, decide_nack
from event_service.domain.ownership import Caller, not_consumer_owner_error
from event_service.store import consumers as store
from event_service.store import ownership, streams


def acknowledge(
    tx: Transaction, stream: str, event_id: str, consumer: str, caller: Caller, *, up_to: bool, now: datetime
) -> None:
    series_id, sequence = _authorize(tx, stream, event_id, consumer, caller)
    offset = Offset(**store.lock_offset(tx, series_id, consumer, now))
    is_replayed = not up_to and store.find_replay_nacks(tx, series_id, sequence, consumer) is not None
    action = decide_ack(offset, sequence, up_to=up_to, is_replayed=is_replayed)
    if action is OffsetAction.ADVANCE:
        store.update_offset(tx, series_id, consumer, sequence, now)
    if up_to or action is OffsetAction.FINISH_REPLAY:
        store.delete_replayed(tx, series_id, consumer, first=0 if up_to else sequence, last=sequence)


def nack(
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
    """Count a failed attempt; the NACK number `limit` parks the event for this consumer and advances the offset."""
    series_id, sequence = _authorize(tx, stream, event_id, consumer, caller)
    offset = Offset(**store.lock_offset(tx, series_id, consumer, now))
    replay_nacks = store.find_replay_nacks(tx, series_id, sequence, consumer)
    action = decide_nack(offset, sequence, limit=limit, replay_nacks=replay_nacks)
    if action is OffsetAction.COUNT_NACK:
        store.increment_nacks(tx, series_id, consumer, reason, now)
    elif action is OffsetAction.PARK:
        store.park_event(tx, series_id, sequence, consumer, offset.nacks + 1, reason, now)
        store.update_offset(tx, series_id, consumer, sequence, now)
    elif action is OffsetAction.COUNT_REPLAY_NACK:
        store.increment_replay_nacks(tx, series_id, sequence, consumer, reason)
    elif action is OffsetAction.PARK_AGAIN:
        store.park_event(tx, series_id, sequence, consumer, (replay_nacks or 0) + 1, reason, now)


def _authorize(tx: Transaction, stream: str, event_id: str, consumer: str, caller: Caller) -> tuple[int, int]:
    """Return (series ID, sequence) of the event; raise 404, or 403 if the consumer belongs to another user."""
    location = _get_event_location(tx, stream, event_id, consumer)
    _claim_if_unowned(tx, location.stream_id, consumer, location.owner, caller)
    return location.series_id, location.sequence


def _get_event_location(tx: Transaction, stream: str, event_id: str, consumer: str) -> store.EventLocation:
    location = store.find_event_location(tx, stream, event_id, consumer)
    if location is None:
        raise unknown_event_error()
    return location


def _claim_if_unowned(tx: Transaction, stream_id: int, consumer: str, owner: str | None, caller: Caller) -> None:
    """Make the caller the owner of a consumer that has none, regardless of role; raise 403 if another user owns it.

    The claim is part of the transaction, so a request that fails claims nothing.
    """
    if owner is None and caller.user is not None:
        owner = ownership.claim_consumer(tx, stream_id, consumer, caller.user)
    if not caller.may_act_for(owner):
        raise not_consumer_owner_error()


def put_offset(
    tx: Transaction, stream: str, consumer: str, caller: Caller, *, name: str, offset: int, now: datetime
) -> None:
    """Move the offset forwards or backwards, at most to the first event that is left.

    Events that are parked after the new offset are unparked, because the consumer will read them again.
    """
    stream_id = get_stream_id(tx, stream)
    _claim_if_unowned(tx, stream_id, consumer, ownership.find_consumer_owner(tx, stream_id, consumer), caller)
    series = streams.lock_series(tx, stream_id, name)
    if series is None:
        raise NotFound(f"stream {stream} has no event named {name}")
    if offset > series["last"]:
        raise Invalid.field("offset", f"must be between 0 and {series['last']}, the last sequence of {name}")
    offset = max(offset, series["first"] - 1)
    store.lock_offset(tx, series["id"], consumer, now)
    store.update_offset(tx, series["id"], consumer, offset, now)
    store.delete_parked_after(tx, series["id"], consumer, offset)


def replay_parked(tx: Transaction, stream: str, event_id: str, consumer: str, caller: Caller, now: datetime) -> None:
    """Make a parked event the next one to be read, without moving the offset or claiming the consumer."""
    location = _get_event_location(tx, stream, event_id, consumer)
    if not caller.may_act_for(location.owner):
        raise not_consumer_owner_error()
    if not store.replay_event(tx, location.series_id, location.sequence, consumer, now):
        raise unknown_event_error()


def unknown_event_error() -> NotFound:
    """Return the bare "Not Found" that the contract requires for an event, and for its stream, that does not exist."""
    return NotFound("")


def unknown_stream_error(name: str) -> NotFound:
    return NotFound(f"stream {name}")


def get_stream_id(tx: Transaction, name: str) -> int:
    stream = streams.find_stream(tx, name)
    if stream is None:
        raise unknown_stream_error(name)
    return int(stream["id"])
