"""Use cases of producers: appending events that are posted over HTTP or published by another service; and erasure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chassis.db import Transaction
from chassis.errors import Conflict
from event_service.cache import SchemaCache
from event_service.domain.events import Append
from event_service.domain.ownership import Caller, not_admin_error, second_writer_error
from event_service.domain.schemas import SchemasChanged, check_payloads, compile_schemas
from event_service.operations.consuming import unknown_event_error
from event_service.store import documents, events, schemas, streams


def append_events(tx: Transaction, appends: Sequence[Append], *, publish: bool = True) -> list[Exception | None]:
    """Append to each stream, all or nothing; return for each append None or the reason why it was rejected.

    SchemasChanged does not mean that the append is invalid: retry it with `append_validated`.
    """
    return [_rejection(result) for result in events.append_events(tx, appends, publish=publish)]


def _rejection(result: events.AppendResult) -> Exception | None:
    if result.outcome == "schemas_changed":
        return SchemasChanged(result.revision, is_first_append=result.producer is None)
    if result.outcome == "locked":
        return second_writer_error()
    return Conflict(f"stream is at {result.position}") if result.outcome == "conflict" else None


def _append_one(tx: Transaction, append: Append, *, publish: bool = True) -> None:
    (rejection,) = append_events(tx, [append], publish=publish)
    if rejection:
        raise rejection


def append_validated(tx: Transaction, append: Append, cache: SchemaCache) -> None:
    """Append after validating against the current schemas of the stream; raise the reason if it is rejected.

    1. Try to append. Regardless of the outcome, the row of the stream stays locked until the transaction ends.
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
    texts = schemas.list_schemas(tx, append.stream)
    size_bytes = sum(len(text.encode()) for text in texts.values())
    current_schemas = compile_schemas(texts)
    check_payloads(current_schemas, append.events)
    _append_one(tx, replace(append, schemas_revision=revision))
    tx.after_commit.append(lambda: cache.put(append.stream, revision, current_schemas, size_bytes))


def append_published(tx: Transaction, append: Append) -> bool:
    """Append an event of another service under the ID of its message; return False if the stream has it already.

    The stream is locked before the check, so the second of two concurrent deliveries detects the event of the first.
    """
    streams.lock_stream(tx, append.stream)
    if events.has_event(tx, append.ids[0]):
        return False
    _append_one(tx, append, publish=False)
    return True


def erase_event(tx: Transaction, stream: str, event_id: str, caller: Caller, now: datetime) -> None:
    if not caller.is_admin:
        raise not_admin_error()
    if not documents.erase_event(tx, stream, event_id, now):
        raise unknown_event_error()
