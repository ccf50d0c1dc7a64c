"""Dead letters: `make dead-letters` shows them, `make retry` requeues them."""

import sys
from collections.abc import Iterable, Iterator

from chassis.messaging import broker

_MAX_SHOWN_BODY_BYTES = 200

# A channel and what it received, which is not acknowledged yet.
_Received = tuple[broker.Channel, broker.GetOk, broker.Properties, bytes]


def show(amqp_url: str, queues: Iterable[str]) -> None:
    """Print each dead letter with its ID, request ID and reason, and the number of dead letters of each queue."""
    with _connect(amqp_url) as connection:
        for queue in queues:
            _show(connection, queue)


def requeue(amqp_url: str, queue: str) -> None:
    with _connect(amqp_url) as connection:
        print(f"{_requeue(connection, queue)} dead letters requeued to {queue}")


def _connect(amqp_url: str) -> broker.BlockingConnection:
    try:
        return broker.connect(amqp_url, "quintet dead letters")
    except (broker.Error, OSError) as error:
        sys.exit(f"RabbitMQ is unreachable ({error!r}); is the stack running?")


def _receive_dead_letters(connection: broker.BlockingConnection, queue: str) -> Iterator[_Received]:
    """Yield each dead letter unacknowledged; yield nothing if the dead-letter queue does not exist."""
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        count = channel.queue_declare(broker.dead_letter_queue(queue), passive=True).method.message_count
    except broker.Error:
        return
    for _ in range(count):
        method, properties, body = channel.basic_get(broker.dead_letter_queue(queue))
        if method is None:
            return
        yield channel, method, properties, body


def _show(connection: broker.BlockingConnection, queue: str) -> None:
    """Print the dead letters. They remain: the broker requeues unacknowledged messages when the connection closes."""
    count = 0
    for _channel, _method, properties, body in _receive_dead_letters(connection, queue):
        count += 1
        headers = properties.headers or {}
        reason = headers.get("x-reason") or headers.get("x-last-death-reason") or headers.get("x-first-death-reason")
        print(f"{queue}  {properties.message_id}  request {properties.correlation_id}  {reason}")
        print("    " + body[:_MAX_SHOWN_BODY_BYTES].decode("utf-8", "replace"))
    print(f"{queue}: {count} dead letters")


def _requeue(connection: broker.BlockingConnection, queue: str) -> int:
    """Requeue all dead letters. Each is confirmed in its queue before it is removed from the dead letters."""
    count = 0
    for channel, method, properties, body in _receive_dead_letters(connection, queue):
        headers = properties.headers or {}
        properties.headers = {name: value for name, value in headers.items() if not name.startswith("x-")}
        channel.basic_publish("", queue, body, properties, mandatory=True)
        channel.basic_ack(method.delivery_tag)
        count += 1
    return count
