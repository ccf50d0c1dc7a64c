"""Use cases of consumers: ACK, NACK and leases."""

from datetime import datetime

from chassis.db import Transaction
from chassis.errors import NotFound
from event_service.domain.feeds import EventLocation
from event_service.domain.offsets import (
    Lease,
    Offset,
    OffsetAction,
    check_may_lease,
    decide_ack,
    decide_nack,
    default_delay_seconds,
    new_numbers,
)
from event_service.domain.ownership import Caller, not_consumer_owner_error
from event_service.store import consumers as store
from event_service.store import feeds, leases, ownership, parked, streams


def acknowledge(
    tx: Transaction,
    stream: str,
    event_id: str,
    consumer: str,
    caller: Caller,
    *,
    name: str | None = None,
    up_to: bool,
    now: datetime,
) -> None:
    feed_id, number, offset, lease = _lock_event(tx, stream, event_id, consumer, caller, name, now)
    is_replayed = not up_to and parked.find_replay_nacks(tx, feed_id, number, consumer) is not None
    action = decide_ack(offset, number, up_to=up_to, is_replayed=is_replayed, lease=lease)
    if action is OffsetAction.ADVANCE:
        _advance(tx, feed_id, consumer, offset, number, up_to=up_to, now=now)
    if up_to or action is OffsetAction.FINISH_REPLAY:
        parked.delete_replayed(tx, feed_id, consumer, first=0 if up_to else number, last=number)


def nack(
    tx: Transaction,
    stream: str,
    event_id: str,
    consumer: str,
    caller: Caller,
    *,
    name: str | None = None,
    reason: str,
    delay_seconds: float | None,
    limit: int,
    now: datetime,
) -> None:
    """Count a failed attempt; the NACK number `limit` parks the event for this consumer and advances the offset."""
    feed_id, number, offset, lease = _lock_event(tx, stream, event_id, consumer, caller, name, now)
    replay_nacks = parked.find_replay_nacks(tx, feed_id, number, consumer)
    action, nacks = decide_nack(offset, number, limit=limit, replay_nacks=replay_nacks, lease=lease)
    delay = default_delay_seconds(nacks) if delay_seconds is None else delay_seconds
    if action is OffsetAction.COUNT_REPLAY_NACK:
        parked.increment_replay_nacks(tx, feed_id, number, consumer, reason, delay)
    elif action is OffsetAction.COUNT_NACK and lease:
        leases.increment_lease_nacks(tx, feed_id, consumer, number, reason, delay, now)
    elif action is OffsetAction.COUNT_NACK:
        store.increment_nacks(tx, feed_id, consumer, reason, delay, now)
    elif action in (OffsetAction.PARK, OffsetAction.PARK_AGAIN):
        parked.park_event(tx, feed_id, number, consumer, nacks, reason, now)
    if action is OffsetAction.PARK:
        _advance(tx, feed_id, consumer, offset, number, up_to=False, now=now)


def _lock_event(
    tx: Transaction, stream: str, event_id: str, consumer: str, caller: Caller, name: str | None, now: datetime
) -> tuple[int, int, Offset, Lease | None]:
    """Lock the offset; return the feed, the number of the event in it, the offset, and the lease if it has leases.

    Raises 404 for an unknown event, and 403 if the consumer belongs to another user.
    """
    location = get_event_location(tx, stream, event_id, consumer)
    feed_id, number = location.feed_number(name)
    offset = lock_offset(tx, location.stream_id, feed_id, consumer, caller, now)
    lease = leases.find_lease(tx, feed_id, consumer, number) if offset.has_leases else None
    return feed_id, number, offset, lease


def _advance(
    tx: Transaction, feed_id: int, consumer: str, offset: Offset, number: int, *, up_to: bool, now: datetime
) -> None:
    """Acknowledge the event and move the offset, with leases only over what is acknowledged without a gap."""
    if offset.has_leases:
        leases.acknowledge_lease(tx, feed_id, consumer, number)
        after = number if up_to else offset.acknowledged
        number = leases.find_last_acknowledged(tx, feed_id, consumer, after)
        if number == offset.acknowledged:
            return
        leases.delete_leases(tx, feed_id, consumer, up_to=number)
    store.update_offset(tx, feed_id, consumer, number, now)


def lease_events(
    tx: Transaction,
    state: leases.LeaseState,
    feed_id: int,
    consumer: str,
    caller: Caller,
    *,
    limit: int,
    seconds: float,
    now: datetime,
) -> list[str]:
    """Lease events that no other reader of this consumer holds, replayed ones first, and return their documents.

    Readers of one consumer run this one after the other, because each locks the offset.
    """
    offset = lock_offset(tx, state.stream_id, feed_id, consumer, caller, now)
    check_may_lease(offset.has_leases)
    if not offset.has_leases:
        store.set_has_leases(tx, feed_id, consumer)
    numbers = leases.claim_available(tx, feed_id, consumer, limit, seconds)
    last_leased = leases.find_last_leased(tx, feed_id, consumer)
    if new := new_numbers(offset.acknowledged, last_leased, state.last)[: limit - len(numbers)]:
        leases.insert_leases(tx, feed_id, consumer, new, seconds)
    return feeds.list_documents(tx, feed_id, numbers + list(new))


def register_reader_of_all_names(tx: Transaction, stream_id: int, consumer: str, caller: Caller, now: datetime) -> None:
    """Create the offset for all names, so that an ACK without a name is for all names.

    Not if the consumer has other offsets, or belongs to another user: reading must not change the meaning of its ACKs.
    """
    if store.has_offsets(tx, stream_id, consumer):
        return
    if caller.may_act_for(ownership.find_consumer_owner(tx, stream_id, consumer)):
        store.insert_offset(tx, -stream_id, consumer, now)


def get_event_location(tx: Transaction, stream: str, event_id: str, consumer: str) -> EventLocation:
    location = feeds.find_event_location(tx, stream, event_id, consumer)
    if location is None:
        raise unknown_event_error()
    return location


def lock_offset(tx: Transaction, stream_id: int, feed_id: int, consumer: str, caller: Caller, now: datetime) -> Offset:
    """Lock the offset for the owner of the consumer, or create it; raise 403 if another user owns the consumer.

    If the consumer has no owner, it is claimed first: its deletion waits for that, and then deletes the new offset too.
    """
    row = store.lock_offset(tx, stream_id, feed_id, consumer)
    owner = row.pop("owner") if row else None
    if owner is None:
        claim_consumer(tx, stream_id, consumer, caller)
    elif not caller.may_act_for(owner):
        raise not_consumer_owner_error()
    return Offset(**(row or store.insert_offset(tx, feed_id, consumer, now)))


def claim_consumer(tx: Transaction, stream_id: int, consumer: str, caller: Caller) -> None:
    """Make the caller the owner of a consumer that has none, regardless of role; raise 403 if another user owns it.

    The owner is locked until the transaction ends. A request that fails claims nothing.
    """
    if caller.user is None:
        owner = ownership.find_consumer_owner(tx, stream_id, consumer)
    else:
        owner = ownership.claim_consumer(tx, stream_id, consumer, caller.user)
    if not caller.may_act_for(owner):
        raise not_consumer_owner_error()


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
