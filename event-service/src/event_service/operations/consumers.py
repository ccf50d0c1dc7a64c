"""Use cases that manage a consumer: its offsets, its parked events, and its deletion."""

from datetime import datetime

from chassis.db import Transaction
from chassis.errors import Invalid, NotFound
from event_service.domain.ownership import Caller, not_consumer_owner_error
from event_service.operations.consuming import (
    claim_consumer,
    get_event_location,
    get_stream_id,
    lock_offset,
    unknown_event_error,
)
from event_service.store import consumers as store
from event_service.store import documents, feeds, leases, ownership, parked


def put_offset(
    tx: Transaction,
    stream: str,
    consumer: str,
    caller: Caller,
    *,
    name: str,
    target: int | datetime | None,
    now: datetime,
) -> None:
    """Move the offset forwards or backwards: to a number, before the first event since a time, or (None) to the end.

    Events that are parked after the new offset are unparked, because the consumer will read them again. All leases end,
    and the consumer may choose again whether it uses leases or reads in order.
    """
    stream_id = get_stream_id(tx, stream)
    feed_id = feeds.find_feed_id(tx, stream_id, name)
    if feed_id is None:
        raise NotFound(f"stream {stream} has no event named {name}")
    number = _resolve_target(tx, feed_id, name, target)
    lock_offset(tx, stream_id, feed_id, consumer, caller, now)
    store.update_offset(tx, feed_id, consumer, number, now, is_reset=True)
    leases.delete_leases(tx, feed_id, consumer)
    parked.delete_parked_after(tx, feed_id, consumer, number)


def _resolve_target(tx: Transaction, feed_id: int, name: str, target: int | datetime | None) -> int:
    """Return the number, at least that of the last deleted event."""
    first, last = feeds.lock_feed(tx, feed_id)
    if target is None:
        return last
    if isinstance(target, datetime):
        return documents.find_first_number_since(tx, feed_id, target) - 1
    if target > last:
        raise Invalid.field("offset", f"must be between 0 and {last}, the last event of {name}")
    return max(target, first - 1)


def replay_parked(tx: Transaction, stream: str, event_id: str, consumer: str, caller: Caller, now: datetime) -> None:
    """Make a parked event the next one to be read, without moving the offset or claiming the consumer."""
    location = get_event_location(tx, stream, event_id, consumer)
    _lock_consumer(tx, stream, consumer, caller)
    if not parked.replay_event(tx, location, consumer, now):
        raise unknown_event_error()


def replay_all_parked(tx: Transaction, stream: str, consumer: str, caller: Caller, now: datetime) -> None:
    parked.replay_all(tx, _lock_consumer(tx, stream, consumer, caller), consumer, now)


def delete_consumer(tx: Transaction, stream: str, consumer: str, caller: Caller) -> None:
    """Delete what the consumer has in this stream; afterwards its name belongs to the next user that uses it.

    1. Lock the offsets, and then the owner, in the same order as an acknowledgement that claims the consumer.
    2. Lock the offsets again: until the owner was locked, others may have been created.
    """
    stream_id = get_stream_id(tx, stream)
    store.lock_offsets(tx, stream_id, consumer)
    claim_consumer(tx, stream_id, consumer, caller)
    feed_ids = store.lock_offsets(tx, stream_id, consumer)
    store.delete_consumer(tx, stream_id, feed_ids, consumer)


def _lock_consumer(tx: Transaction, stream: str, consumer: str, caller: Caller) -> list[int]:
    """Lock the offsets and return the IDs of their feeds; raise 403 if the consumer belongs to another user."""
    stream_id = get_stream_id(tx, stream)
    feed_ids = store.lock_offsets(tx, stream_id, consumer)
    if not caller.may_act_for(ownership.find_consumer_owner(tx, stream_id, consumer)):
        raise not_consumer_owner_error()
    return feed_ids
