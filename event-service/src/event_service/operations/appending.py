"""Events come in: from a producer over HTTP, or published by another service."""

from dataclasses import replace

from chassis.db import Transaction
from chassis.errors import Conflict
from event_service.domain.events import Append
from event_service.domain.ownership import Caller, not_owner_of_stream, second_writer
from event_service.domain.schemas import Schemas, check_payloads, compiled
from event_service.store import appending


def append_events(tx: Transaction, append: Append) -> tuple[int, Schemas] | None:
    """The stream's schemas and their revision, where they are others than the append was checked against.

    1. Try. Whether it is refused or not, the stream's row is locked from now on.
    2. The stream has no events yet: the schemas that this user has set for it apply from now on, those of others never.
    3. Refused for its schemas: check against those that hold, and try again. No others can come between.
    4. Refused otherwise: say why.
    """
    if appending.append_events(tx, [append], publish=True):
        return None
    stream = appending.lock_stream(tx, append.stream)
    if stream is None:
        raise Conflict("stream is at 0")
    if stream["producer"] is None:
        appending.adopt_drafts(tx, stream["id"], append.caller.user)
    schemas: Schemas = {}
    if stream["revision"] != append.revision:
        schemas = compiled(appending.list_schemas(tx, stream["id"]))
        check_payloads(schemas, append.events)
        if appending.append_events(tx, [replace(append, revision=stream["revision"])], publish=True):
            return stream["revision"], schemas
    if stream["producer"] not in (None, append.producer) or not append.caller.may_act_for(stream["owner"]):
        raise second_writer()
    raise Conflict(f"stream is at {stream['position']}")


def append_published(tx: Transaction, append: Append) -> bool:
    """Of another service, under its message's id. False where it is in the stream already.

    The stream is locked before looking, so of two deliveries at once the second one finds the event of the first.
    Schemas that were set before the stream was reserved do not apply.
    """
    stream = appending.lock_stream(tx, append.stream)
    if appending.event_exists(tx, append.runs[0].id):
        return False
    revision = stream["revision"] if stream else 0
    if not appending.append_events(tx, [replace(append, revision=revision)], publish=False):
        raise second_writer()
    return True


def put_schema(tx: Transaction, stream: str, name: str, version: int, document: str, caller: Caller) -> None:
    """Only the owner of a stream with events may, and an admin. For a stream without events any user may."""
    if not appending.put_schema(tx, stream, name, version, document, caller):
        raise not_owner_of_stream()
