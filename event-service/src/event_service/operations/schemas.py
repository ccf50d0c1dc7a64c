"""Use case of owners: setting the schemas of a stream."""

from chassis.db import Transaction
from event_service.domain.ownership import Caller, not_stream_owner_error
from event_service.store import schemas


def put_schema(tx: Transaction, stream: str, name: str, version: int, document: str, caller: Caller) -> None:
    """Set a schema for later payloads; raise 403 if the caller may not set it.

    Any user may set schemas for a stream without events; for one with events, only its owner and admins may.
    """
    if not schemas.upsert_schema(tx, stream, name, version, document, caller):
        raise not_stream_owner_error()
