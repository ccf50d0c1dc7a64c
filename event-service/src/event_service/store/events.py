"""SQL statements that append and read events."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from chassis.db import Transaction
from chassis.messaging import outbox
from event_service.domain.events import Append, to_json


class AppendResult(NamedTuple):
    """The outcome of an append, as the SQL function `append_events` names it, and the state of the stream before it."""

    outcome: str
    producer: str | None
    position: int
    revision: int


def append_events(tx: Transaction, appends: Sequence[Append], *, publish: bool) -> list[AppendResult]:
    """Append to each stream whose checks pass; the rows of all streams stay locked until the transaction ends."""
    tx.notifies = True
    rows = tx.rows(
        """
        SELECT outcome, stream_producer, stream_position, stream_revision
        FROM append_events(%(appends)s, %(publish)s) ORDER BY index
        """,
        appends=to_json([_append_document(append) for append in appends]).decode(),
        publish=publish,
    )
    return [AppendResult(*row) for row in rows]


def _append_document(append: Append) -> dict[str, Any]:
    return {
        "stream": append.stream,
        "stream_key": outbox.key_part(append.stream),
        "producer": append.producer,
        "username": append.caller.user,
        "is_admin": append.caller.is_admin,
        "revision": append.schemas_revision,
        "expected_position": append.expected_position,
        "request_id": append.request_id,
        "traceparent": append.traceparent or None,
        "events": [
            {"id": id_, "key": outbox.key_part(event["event"]["name"]), **event}
            for id_, event in zip(append.ids, append.events, strict=True)
        ],
    }


def has_event(tx: Transaction, event_id: str) -> bool:
    return bool(tx.value("SELECT 1 FROM events WHERE id = %(id)s", id=event_id))


def list_after_sequence(tx: Transaction, series_id: int, sequence: int, limit: int) -> list[tuple[int, int, str]]:
    """Return (sequence, position, document) of the next events of one name."""
    return tx.rows(
        """
        SELECT sequence, position, document FROM event_documents
        WHERE series_id = %(series_id)s AND sequence BETWEEN %(first)s AND %(last)s ORDER BY sequence
        """,
        series_id=series_id,
        first=sequence + 1,
        last=sequence + limit,
    )


def list_after_position(tx: Transaction, stream_id: int, position: int, limit: int) -> list[tuple[int, int, str]]:
    """Return (sequence, position, document) of the next events that are left, regardless of their names."""
    return tx.rows(
        """
        SELECT sequence, event.position, document
        FROM (SELECT id, greatest(first, %(first)s) AS first FROM streams WHERE id = %(stream)s) AS stream
        JOIN event_documents AS event
          ON event.stream_id = stream.id AND event.position BETWEEN stream.first AND stream.first + %(limit)s - 1
        ORDER BY event.position
        """,
        stream=stream_id,
        first=position + 1,
        limit=limit,
    )


def find_event_document(tx: Transaction, stream: str, event_id: str) -> str | None:
    document: str | None = tx.value(
        """
        SELECT document FROM event_documents
        WHERE id = %(id)s AND stream_id = (SELECT id FROM streams WHERE name = %(stream)s)
        """,
        stream=stream,
        id=event_id,
    )
    return document
