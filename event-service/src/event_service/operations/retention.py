"""Use cases of retention: setting it for a stream, and deleting the events that are due."""

from datetime import datetime
from typing import Any

from chassis.db import Transaction
from event_service.domain.ownership import Caller, not_stream_owner_error
from event_service.operations.consuming import get_stream_id, unknown_stream_error
from event_service.store import documents, streams
from event_service.store import retention as store

# About 50 ms of work for Postgres, during the last few of which appends to the stream wait.
MAX_DELETED_EVENTS = 2000


def get_retention(tx: Transaction, stream: str) -> dict[str, Any]:
    return store.find_retention(tx, get_stream_id(tx, stream)) or {"max_age_days": None, "max_events": None}


def put_retention(
    tx: Transaction, stream: str, caller: Caller, max_age_days: int | None, max_events: int | None
) -> None:
    """Set the limits of a stream; without any, its events are kept indefinitely."""
    stream_id = _authorize(tx, stream, caller)
    if max_age_days is None and max_events is None:
        store.delete_retention(tx, stream_id)
    else:
        store.upsert_retention(tx, stream_id, max_age_days, max_events)


def _authorize(tx: Transaction, stream: str, caller: Caller) -> int:
    """Return the ID of the stream; raise 403 unless the caller owns it or is an admin."""
    row = streams.find_stream(tx, stream)
    if row is None:
        raise unknown_stream_error(stream)
    if not caller.owns(row["owner"]):
        raise not_stream_owner_error("retention")
    return int(row["id"])


def delete_due_events(tx: Transaction, now: datetime) -> bool:
    """Delete a batch of one stream's first events; return False if none are due.

    Only events from the first position on are ever deleted, so what is left has no gap.
    """
    due = store.lock_due_stream(tx, now)
    if due is None:
        return False
    end = due["first_by_count"] or 1
    if due["first_time"] is not None:
        end = max(end, documents.find_first_position_since(tx, due["stream_id"], due["first_time"]))
    store.delete_events(tx, due["stream_id"], due["first"], min(end, due["first"] + MAX_DELETED_EVENTS), now)
    return True
