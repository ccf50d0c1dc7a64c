"""What was given up, and putting it back: for `make dead-letters` and `make retry`."""

import sys
from collections.abc import Iterable
from typing import Any

from chassis.messaging import broker

_LONGEST_BODY_SHOWN = 200


def show(amqp_url: str, queues: Iterable[str]) -> None:
    """One line for each message, with its id, its request and the reason, and one for each queue."""
    with _connected(amqp_url) as connection:
        for queue in queues:
            _show(connection, queue)


def requeue(amqp_url: str, queue: str) -> None:
    with _connected(amqp_url) as connection:
        print(f"{_put_back(connection, queue)} put back into {queue}")


def _connected(amqp_url: str) -> Any:
    try:
        return broker.connect(amqp_url, "quintet dead letters")
    except (broker.Error, OSError) as error:
        sys.exit(f"RabbitMQ is unreachable ({error!r}); is the stack up?")


def _dead_letters(connection: Any, queue: str) -> Any:
    """(channel, method, properties, body) of each, unacknowledged; nothing where no such queue is."""
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        waiting = channel.queue_declare(broker.dead_letter_queue(queue), passive=True).method.message_count
    except broker.Error:
        return
    for _ in range(waiting):
        method, properties, body = channel.basic_get(broker.dead_letter_queue(queue))
        if method is None:
            return
        yield channel, method, properties, body


def _show(connection: Any, queue: str) -> None:
    """They stay where they are: what was got and not acknowledged goes back when the connection ends."""
    count = 0
    for _channel, _method, properties, body in _dead_letters(connection, queue):
        count += 1
        headers = properties.headers or {}
        reason = headers.get("x-reason") or headers.get("x-last-death-reason") or headers.get("x-first-death-reason")
        print(f"{queue}  {properties.message_id}  request {properties.correlation_id}  {reason}")
        print("    " + body[:_LONGEST_BODY_SHOWN].decode("utf-8", "replace"))
    print(f"{queue}: {count} dead letters")


def _put_back(connection: Any, queue: str) -> int:
    """Each is in the queue, confirmed, before it leaves the dead letters."""
    count = 0
    for channel, method, properties, body in _dead_letters(connection, queue):
        headers = properties.headers or {}
        properties.headers = {name: value for name, value in headers.items() if not name.startswith("x-")}
        channel.basic_publish("", queue, body, properties, mandatory=True)
        channel.basic_ack(method.delivery_tag)
        count += 1
    return count
