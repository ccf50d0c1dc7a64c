"""Use cases of owners: setting, reading and deleting the schemas of a stream."""

from chassis.db import Transaction
from chassis.errors import NotFound
from event_service.domain.ownership import Caller, not_stream_owner_error
from event_service.domain.schemas import check_total
from event_service.operations.consuming import unknown_stream_error
from event_service.store import schemas, streams


def put_schema(tx: Transaction, stream: str, name: str, version: int, document: str, caller: Caller) -> None:
    """Set a schema for later payloads; raise 403 if the caller may not set it.

    Any user may set schemas for a stream without events; for one with events, only its owner and admins may.
    Concurrent calls for a stream run one after the other, so its schemas never exceed the limits.
    """
    if not schemas.upsert_schema(tx, stream, name, version, document, caller):
        raise not_stream_owner_error("schemas")
    check_total(*schemas.measure_visible(tx, stream, caller.user))


def list_schema_keys(
    tx: Transaction, stream: str, caller: Caller, limit: int, offset: int
) -> tuple[list[tuple[str, int]], int]:
    """Return one page of names with versions, and the number of all.

    Raise 404 for a stream that has neither events nor schemas of this user.
    """
    total, _ = schemas.measure_visible(tx, stream, caller.user)
    if not total and streams.find_stream(tx, stream) is None:
        raise unknown_stream_error(stream)
    return schemas.list_visible_keys(tx, stream, caller.user, limit, offset), total


def get_schema(tx: Transaction, stream: str, name: str, version: int, caller: Caller) -> str:
    document = schemas.find_visible_schema(tx, stream, name, version, caller.user)
    if document is None:
        raise _unknown_schema_error(stream, name, version)
    return document


def delete_schema(tx: Transaction, stream: str, name: str, version: int, caller: Caller) -> None:
    """Delete a schema, or before the first event the caller's own; raise 403 like `put_schema`."""
    row = streams.lock_owner(tx, stream)
    if row is None:
        raise _unknown_schema_error(stream, name, version)
    if row["producer"] is not None and not caller.owns(row["owner"]):
        raise not_stream_owner_error("schemas")
    if not schemas.delete_visible_schema(tx, row["id"], name, version, caller.user):
        raise _unknown_schema_error(stream, name, version)


def _unknown_schema_error(stream: str, name: str, version: int) -> NotFound:
    return NotFound(f"stream {stream} has no schema for version {version} of {name}")
