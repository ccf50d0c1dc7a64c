"""Messages leave with the transaction that caused them: rows that the relay publishes once they are committed."""

import string
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chassis import strictjson
from chassis.db import Transaction

EVENTS = "events"

_LONGEST_KEY_PART = 127
_KEY_SAFE = frozenset((string.ascii_letters + string.digits + "_-").encode())


@dataclass(frozen=True)
class Message:
    """One to be published; `mandatory` ones wait until a queue is there that takes them."""

    exchange: str
    routing_key: str
    type: str
    body: str
    correlation_id: str
    headers: dict[str, str] = field(default_factory=dict)
    mandatory: bool = True
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def key_part(text: str) -> str:
    """All but `A-Za-z0-9_-` percent-encoded, cut to 127 bytes, so that a dot parts stream and event for sure."""
    encoded = "".join(chr(byte) if byte in _KEY_SAFE else f"%{byte:02X}" for byte in text.encode())
    return encoded[:_LONGEST_KEY_PART]


def event_message(
    stream: str, name: str, body: str, *, request_id: str, message_id: str, mandatory: bool = True
) -> Message:
    """An event on its way to the exchange `events`; `body` is the event-service's append body."""
    return Message(
        exchange=EVENTS,
        routing_key=f"{key_part(stream)}.{key_part(name)}",
        type=key_part(name),
        body=body,
        correlation_id=request_id,
        headers={"stream": stream, "event": name},
        mandatory=mandatory,
        message_id=message_id,
    )


def service_event(
    service: str,
    name: str,
    payload: dict[str, Any],
    *,
    now: datetime,
    request_id: str = "",
    timer: str = "",
) -> Message:
    """A fact of the service's own, for the stream that is named after it; caused by a request or by a timer."""
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
    """Work for whoever consumes the queue."""
    return Message("", queue, queue, strictjson.dumps(body), request_id)


def add(tx: Transaction, *messages: Message) -> None:
    """They are published after the commit, in this order, once or (after a crash) more often, never not at all."""
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
        tx.insert_many(_INSERT, rows)


_INSERT = """
    INSERT INTO outbox (message_id, exchange, routing_key, type, correlation_id, headers, body, mandatory)
    VALUES %s
"""


def backlog(tx: Transaction) -> dict[str, Any]:
    """How many wait, and for how long the oldest does."""
    return tx.one(
        """
        SELECT coalesce(sum(messages), 0)::int AS backlog,
               coalesce(extract(epoch FROM now() - min(created_at)), 0)::float AS oldest_seconds
        FROM outbox
        """
    )
