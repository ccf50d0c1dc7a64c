"""The outbox: messages are rows, written in the transaction that causes them and published after its commit."""

import functools
import string
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chassis import strictjson
from chassis.db import Row, Transaction
from chassis.runtime import tracing

EVENTS = "events"
# Complete ones, and the current one.
_BACKLOG_MINUTES = 15 + 1

_MAX_KEY_PART_BYTES = 127
_KEY_SAFE = frozenset((string.ascii_letters + string.digits + "_-").encode())


@dataclass(frozen=True)
class Message:
    """A message to publish. If it is `mandatory`, it stays in the outbox until a queue accepts it."""

    exchange: str
    routing_key: str
    type: str
    body: str
    correlation_id: str
    headers: dict[str, str] = field(default_factory=dict)
    mandatory: bool = True
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@functools.lru_cache(4096)
def key_part(text: str) -> str:
    """Percent-encode all but `A-Za-z0-9_-`, so that a routing key contains one dot, and truncate to 127 bytes."""
    encoded = "".join(chr(byte) if byte in _KEY_SAFE else f"%{byte:02X}" for byte in text.encode())
    return encoded[:_MAX_KEY_PART_BYTES]


def event_message(
    stream: str, name: str, body: str, *, request_id: str, message_id: str, mandatory: bool = True
) -> Message:
    """Return an event for the exchange `events`; `body` has the format of an append to the event-service."""
    return Message(
        exchange=EVENTS,
        routing_key=f"{key_part(stream)}.{key_part(name)}",
        type=key_part(name),
        body=body,
        correlation_id=request_id,
        headers={"stream": stream, "event": name, **tracing.headers()},
        mandatory=mandatory,
        message_id=message_id,
    )


def service_event(
    service: str, name: str, payload: dict[str, Any], *, now: datetime, request_id: str = "", timer: str = ""
) -> Message:
    """Return an event for the stream that is named after the service; its cause is `timer` or the request."""
    body = {
        "event": {"name": name, "version": 1},
        "system": {
            "id": service,
            "name": f"{service}-service",
            "time": now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "timezone": "UTC",
        },
        "trigger": {"type": "timer" if timer else "request", "name": timer or request_id or "unknown"},
        "payload": payload,
    }
    return event_message(service, name, strictjson.dumps(body), request_id=request_id, message_id=str(uuid.uuid4()))


def job(queue: str, body: dict[str, Any], *, request_id: str) -> Message:
    """Return a job for the service that consumes the queue."""
    return Message("", queue, queue, strictjson.dumps(body), request_id, tracing.headers())


def add(tx: Transaction, *messages: Message) -> None:
    """Publish the messages after the commit, in this order, at least once (more than once only after a crash)."""
    add_all(tx, messages)


def add_all(tx: Transaction, messages: Iterable[Message]) -> None:
    rows = [
        (
            message.message_id,
            message.exchange,
            message.routing_key,
            message.type,
            message.correlation_id,
            strictjson.dumps(message.headers),
            message.body,
            message.mandatory,
        )
        for message in messages
    ]
    if rows:
        tx.notifies = True
        tx.insert_many(_INSERT, rows)


_INSERT = """
    INSERT INTO outbox (message_id, exchange, routing_key, type, correlation_id, headers, body, mandatory)
    VALUES %s
"""


def backlog(tx: Transaction) -> Row:
    """Return the number of unsent messages and the age of the oldest."""
    return tx.one(
        """
        SELECT count(*)::int AS backlog,
               coalesce(extract(epoch FROM now() - min(created_at)), 0)::float AS oldest_seconds
        FROM outbox
        """
    )


def record_backlog(tx: Transaction, _now: datetime) -> None:
    """Keep the greatest backlog of the current minute; called several times a minute."""
    tx.run(
        """
        INSERT INTO outbox_backlogs (minute, backlog) SELECT date_trunc('minute', now()), count(*) FROM outbox
        ON CONFLICT ON CONSTRAINT outbox_backlogs_pkey DO UPDATE
        SET backlog = greatest(outbox_backlogs.backlog, excluded.backlog)
        """
    )


def recent_backlogs(tx: Transaction) -> list[Row]:
    """Return the greatest backlog of each of the last minutes, oldest first; it is None if no worker counted it."""
    return tx.all(
        """
        SELECT extract(epoch FROM minute)::bigint AS time, backlog
        FROM generate_series(date_trunc('minute', now()) - make_interval(mins => %(minutes)s - 1),
                             date_trunc('minute', now()), interval '1 minute') AS minute
        LEFT JOIN outbox_backlogs USING (minute) ORDER BY minute
        """,
        minutes=_BACKLOG_MINUTES,
    )


def prune_backlogs(tx: Transaction) -> None:
    tx.run("DELETE FROM outbox_backlogs WHERE minute < now() - interval '1 hour'")
