"""Events come in: from a producer over HTTP, or published by another service."""

from dataclasses import replace

from chassis.db import Transaction
from chassis.errors import Conflict, Problem
from event_service.domain.events import SERVICES, Append
from event_service.domain.schemas import Schemas, check_payloads, compiled
from event_service.store import appending

SECOND_WRITER = Problem("Second writers not allowed", status=423)


def append_events(tx: Transaction, append: Append) -> tuple[int, Schemas] | None:
    """The stream's schemas and their revision, where they are others than the append was checked against.

    1. Try. Whether it is refused or not, the stream's row is locked from now on.
    2. Refused for its schemas: check against those that hold, and try again. No others can come between.
    3. Refused otherwise: say why.
    """
    if append.stream in SERVICES:
        raise SECOND_WRITER
    if appending.append_events(tx, [append], publish=True):
        return None
    stream = appending.lock_stream(tx, append.stream)
    if stream is None:
        raise Conflict("stream is at 0")
    schemas: Schemas = {}
    if stream["revision"] != append.revision:
        schemas = compiled(appending.list_schemas(tx, stream["id"]))
        check_payloads(schemas, append.events)
        if appending.append_events(tx, [replace(append, revision=stream["revision"])], publish=True):
            return stream["revision"], schemas
    if stream["producer"] not in (None, append.producer):
        raise SECOND_WRITER
    raise Conflict(f"stream is at {stream['position']}")


def append_published(tx: Transaction, append: Append) -> bool:
    """Of another service, under its message's id. False where it is in the stream already.

    The stream is locked before looking, so of two deliveries at once the second one finds the event of the first.
    """
    appending.lock_stream(tx, append.stream)
    if appending.event_exists(tx, append.runs[0].id):
        return False
    appending.append_events(tx, [append], publish=False)
    return True
