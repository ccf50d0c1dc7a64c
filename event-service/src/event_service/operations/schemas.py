"""Schemas are set."""

from chassis.db import Transaction
from event_service.domain.ownership import Caller, not_owner_of_stream
from event_service.store import schemas


def put_schema(tx: Transaction, stream: str, name: str, version: int, document: str, caller: Caller) -> None:
    """Only the owner of a stream with events may, and an admin. For a stream without events any user may."""
    if not schemas.put_schema(tx, stream, name, version, document, caller):
        raise not_owner_of_stream()
