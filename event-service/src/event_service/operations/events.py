"""Events are appended: posted over HTTP, or published by another service."""

from collections.abc import Sequence
from dataclasses import replace

from chassis.db import Transaction
from chassis.errors import Conflict
from event_service.cache import SchemaCache
from event_service.domain.events import Append
from event_service.domain.ownership import second_writer
from event_service.domain.schemas import SchemasChanged, check_payloads, compiled
from event_service.store import events, schemas, streams


def append_events(tx: Transaction, appends: Sequence[Append], *, publish: bool = True) -> list[Exception | None]:
    """Append each to its stream, whole or not at all; return why it was rejected, or None.

    SchemasChanged leaves it open whether the append is valid: see append_validated.
    """
    return [_rejection(result) for result in events.append_events(tx, appends, publish=publish)]


def _rejection(result: events.AppendResult) -> Exception | None:
    if result.outcome == "schemas_changed":
        return SchemasChanged(result.revision, is_first_append=result.producer is None)
    if result.outcome == "locked":
        return second_writer()
    return Conflict(f"stream is at {result.position}") if result.outcome == "conflict" else None


def _append_one(tx: Transaction, append: Append, *, publish: bool = True) -> None:
    (rejection,) = append_events(tx, [append], publish=publish)
    if rejection:
        raise rejection


def append_validated(tx: Transaction, append: Append, cache: SchemaCache) -> None:
    """Append, or raise why not, after validating against the schemas that the stream has now.

    1. Try. Whatever the outcome, the row of the stream stays locked until the transaction ends.
    2. If the stream has no events yet, the schemas that this user has set for it apply from now on, and no others.
    3. Validate against the schemas that apply, and try again. They cannot change before the transaction ends.
    """
    try:
        _append_one(tx, append)
        return
    except SchemasChanged as change:
        revision, is_first_append = change.revision, change.is_first_append
    if is_first_append:
        schemas.adopt_drafts(tx, append.stream, append.caller.user)
    current = compiled(schemas.list_schemas(tx, append.stream))
    check_payloads(current, append.events)
    _append_one(tx, replace(append, schemas_revision=revision))
    tx.after_commit.append(lambda: cache.put(append.stream, revision, current))


def append_published(tx: Transaction, append: Append) -> bool:
    """Append an event of another service under the ID of its message; return False if the stream has it already.

    The stream is locked before looking, so of two concurrent deliveries the second finds the event of the first.
    """
    streams.lock_stream(tx, append.stream)
    if events.event_exists(tx, append.ids[0]):
        return False
    _append_one(tx, append, publish=False)
    return True
