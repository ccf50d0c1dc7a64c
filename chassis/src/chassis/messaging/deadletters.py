"""Dead letters: the worker lists, requeues and discards them for web processes, which do not reach RabbitMQ."""

import time
from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from chassis import strictjson
from chassis.db import Transaction
from chassis.messaging import broker
from chassis.messaging.delivery import Received
from chassis.messaging.nodes import Nodes
from chassis.messaging.publisher import AmqpMessage, publish
from chassis.runtime import logs

log = logs.logger(__name__)

_MAX_LISTED, _MAX_BODY_BYTES = 100, 10_000
# A request moves the dead letters for which this time suffices; it can be repeated for the others.
_MAX_SECONDS = 4.0


class DeadLetter(NamedTuple):
    """A message of a dead-letter queue; it returns to the queue unless it is acknowledged."""

    channel: broker.Channel
    delivery_tag: int
    properties: broker.Properties
    body: bytes

    def describe(self) -> dict[str, Any]:
        headers = self.properties.headers or {}
        reasons = (headers.get(name) for name in ("x-reason", "x-last-death-reason", "x-first-death-reason"))
        return {
            "id": _text(self.properties.message_id),
            "type": _text(self.properties.type),
            "request_id": _text(self.properties.correlation_id),
            "reason": str(next(filter(None, reasons), "unknown")),
            "dead_at": _text(headers.get("x-dead-at")),
            "size_bytes": len(self.body),
            "body": self.body[:_MAX_BODY_BYTES].decode("utf-8", "replace"),
        }


def _text(value: Any) -> str | None:
    """Return the value if it is text: pika returns text that is not UTF-8 as bytes, and headers of any type."""
    return value if isinstance(value, str) else None


def add(nodes: Nodes, connection_name: str, queue: str, message: Received, reason: str) -> None:
    """Publish the message to the dead-letter queue, which confirms it, with the reason and the time."""
    properties = message.properties
    # pika cannot encode every header value that it decodes, for example a float.
    headers = (properties.headers or {}).items()
    encodable = {name: value if isinstance(value, str | int) else repr(value) for name, value in headers}
    added = {"x-reason": reason, "x-queue": queue, "x-dead-at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}
    properties.headers = encodable | added
    publish(nodes, connection_name, AmqpMessage("", broker.dead_letter_queue(queue), properties, message.body))


def perform_next(tx: Transaction, amqp_url: str) -> bool:
    """Perform the oldest request for which a web process waits; return whether there was one.

    If the worker dies meanwhile, the request is performed again, and moves the dead letters that are left.
    """
    row = tx.find(
        """
        SELECT id, action, queue, message_id FROM dead_letter_requests
        WHERE result IS NULL AND requested_at > now() - interval '10 seconds' ORDER BY requested_at LIMIT 1
        """
    )
    if row is None:
        return False
    action: Any = {"list": list_first, "retry": requeue, "discard": discard}[row["action"]]
    try:
        result = {"result": action(amqp_url, row["queue"], row["message_id"])}
    except (broker.Error, OSError) as error:
        result = {"error": f"RabbitMQ reports {error!r}"}
    log.info("dead_letters.requested", action=row["action"], queue=row["queue"], message_id=row["message_id"])
    text = strictjson.dumps(result)
    tx.run("UPDATE dead_letter_requests SET result = %(text)s WHERE id = %(id)s", id=row["id"], text=text)
    return True


def list_first(amqp_url: str, queue: str, message_id: str | None = None) -> list[dict[str, Any]]:
    """Return the first dead letters of a queue, with the beginning of their bodies."""
    with closing(_receive(amqp_url, queue, message_id)) as letters:
        return [letter.describe() for letter in islice(letters, _MAX_LISTED)]


def requeue(amqp_url: str, queue: str, message_id: str | None = None) -> int:
    """Move the dead letters of a queue, or one of them, back to the queue; return their number.

    Each message is deleted from the dead-letter queue only after the broker has confirmed it in the queue: a crash in
    between duplicates the message, which the inbox of its consumer detects, but never loses it.
    """
    count = 0
    for letter in _receive(amqp_url, queue, message_id):
        headers = letter.properties.headers or {}
        letter.properties.headers = {name: value for name, value in headers.items() if not name.startswith("x-")}
        letter.channel.basic_publish("", queue, letter.body, letter.properties, mandatory=True)
        letter.channel.basic_ack(letter.delivery_tag)
        count += 1
    return count


def discard(amqp_url: str, queue: str, message_id: str | None = None) -> int:
    """Delete the dead letters of a queue, or one of them; return their number."""
    count = 0
    for letter in _receive(amqp_url, queue, message_id):
        letter.channel.basic_ack(letter.delivery_tag)
        count += 1
    return count


def _receive(amqp_url: str, queue: str, message_id: str | None) -> Generator[DeadLetter, None, None]:
    """Yield the dead letters of a queue until the time is over, or the first with this ID; TimeoutError if it is later.

    Those that the caller does not acknowledge return to the queue at the end. Those that another process has received
    and not acknowledged are not among them.
    """
    dead_queue, deadline = broker.dead_letter_queue(queue), time.monotonic() + _MAX_SECONDS
    with closing(broker.connect(amqp_url, "quintet dead letters")) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        try:
            for _ in range(channel.queue_declare(dead_queue, passive=True).method.message_count):
                method, properties, body = channel.basic_get(dead_queue)
                if method is None:
                    return
                if time.monotonic() > deadline:
                    if message_id is not None:
                        raise TimeoutError(f"{message_id} was not found in time")
                    return
                if message_id in (None, properties.message_id):
                    yield DeadLetter(channel, method.delivery_tag, properties, body)
                    if message_id is not None:
                        return
        finally:
            if channel.is_open:
                channel.basic_nack(0, multiple=True)
