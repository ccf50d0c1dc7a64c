"""Use cases that manage a consumer: its offsets, its parked events, and its deletion."""

from datetime import datetime

from chassis.db import Transaction
from chassis.errors import Invalid, NotFound
from event_service.domain.ownership import Caller, not_consumer_owner_error
from event_service.operations.consuming import (
    claim_if_unowned,
    get_event_location,
    get_stream_id,
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
    claim_if_unowned(tx, stream_id, consumer, caller)
    feed_id = feeds.find_feed_id(tx, stream_id, name)
    if feed_id is None:
        raise NotFound(f"stream {stream} has no event named {name}")
    number = _resolve_target(tx, feed_id, name, target)
    store.lock_offset(tx, feed_id, consumer, now)
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
    if not caller.may_act_for(location.owner):
        raise not_consumer_owner_error()
    if not parked.replay_event(tx, location, consumer, now):
        raise unknown_event_error()


def replay_all_parked(tx: Transaction, stream: str, consumer: str, caller: Caller, now: datetime) -> None:
    _, feed_ids = _lock_consumer(tx, stream, consumer, caller)
    parked.replay_all(tx, feed_ids, consumer, now)


def delete_consumer(tx: Transaction, stream: str, consumer: str, caller: Caller) -> None:
    """Delete what the consumer has in this stream; afterwards its name belongs to the next user that uses it.

    The consumer is claimed first, so that nothing is deleted that another user claims at the same time.
    """
    claim_if_unowned(tx, get_stream_id(tx, stream), consumer, caller)
    stream_id, feed_ids = _lock_consumer(tx, stream, consumer, caller)
    store.delete_consumer(tx, stream_id, feed_ids, consumer)


def _lock_consumer(tx: Transaction, stream: str, consumer: str, caller: Caller) -> tuple[int, list[int]]:
    """Return the IDs of the stream and of the consumer's feeds; raise 403 if the consumer belongs to another user."""
    stream_id = get_stream_id(tx, stream)
    if not caller.may_act_for(ownership.find_consumer_owner(tx, stream_id, consumer)):
        raise not_consumer_owner_error()
    return stream_id, store.lock_offsets(tx, stream_id, consumer)
