"""An AMQP client that subscribes to events."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika

from quintet_e2e.stacks import RunningStack

IDLE_SECONDS = 1.0


class Subscriber:
    """A subscriber with a durable queue, connected only while it declares or receives."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack
        self.queue = f"e2e.{secrets.token_hex(4)}"
        # (properties, body) of each message, including duplicates.
        self.received: list[tuple[Any, bytes]] = []

    @property
    def message_ids(self) -> set[str]:
        return {properties.message_id for properties, _ in self.received}

    def receive(self) -> None:
        """Receive messages until none has arrived for IDLE_SECONDS."""
        with self._channel() as channel:
            for method, properties, body in channel.consume(self.queue, inactivity_timeout=IDLE_SECONDS):
                if method is None:
                    return
                self.received.append((properties, body))
                channel.basic_ack(method.delivery_tag)

    def declare(self, routing_keys: list[str]) -> None:
        with self._channel() as channel:
            channel.queue_declare(self.queue, durable=True, arguments={"x-queue-type": "quorum"})
            for routing_key in routing_keys:
                channel.queue_bind(self.queue, "events", routing_key)

    def delete(self) -> None:
        with self._channel() as channel:
            channel.queue_delete(self.queue)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        with pika.BlockingConnection(pika.URLParameters(self._stack.amqp_url)) as connection:
            yield connection.channel()


@contextmanager
def subscription(stack: RunningStack, *routing_keys: str) -> Iterator[Subscriber]:
    subscriber = Subscriber(stack)
    subscriber.declare(list(routing_keys))
    try:
        yield subscriber
    finally:
        subscriber.delete()
