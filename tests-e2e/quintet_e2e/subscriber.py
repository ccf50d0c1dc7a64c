"""An AMQP client that follows events, as anybody may write one."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika

from quintet_e2e.stacks import Running

SILENCE_SECONDS = 1.0


class Subscriber:
    """A durable queue of its own, bound to what it wants to know; it need not be connected meanwhile."""

    def __init__(self, stack: Running) -> None:
        self._stack = stack
        self.queue = f"e2e.{secrets.token_hex(4)}"
        # (properties, body) of everything that came, doubled or not.
        self.received: list[tuple[Any, bytes]] = []

    @property
    def message_ids(self) -> set[str]:
        return {properties.message_id for properties, _ in self.received}

    def receive(self) -> None:
        """What is there, until nothing comes for a while."""
        with self._channel() as channel:
            for method, properties, body in channel.consume(self.queue, inactivity_timeout=SILENCE_SECONDS):
                if method is None:
                    return
                self.received.append((properties, body))
                channel.basic_ack(method.delivery_tag)

    def declare(self, keys: list[str]) -> None:
        with self._channel() as channel:
            channel.queue_declare(self.queue, durable=True, arguments={"x-queue-type": "quorum"})
            for key in keys:
                channel.queue_bind(self.queue, "events", key)

    def delete(self) -> None:
        with self._channel() as channel:
            channel.queue_delete(self.queue)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        with pika.BlockingConnection(pika.URLParameters(self._stack.amqp_url)) as connection:
            yield connection.channel()


@contextmanager
def subscribed(stack: Running, *keys: str) -> Iterator[Subscriber]:
    subscriber = Subscriber(stack)
    subscriber.declare(list(keys))
    try:
        yield subscriber
    finally:
        subscriber.delete()
