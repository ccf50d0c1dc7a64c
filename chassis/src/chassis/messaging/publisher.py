"""Publishing with confirms: a queue has stored every message that is reported as accepted."""

from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from chassis.messaging import broker
from chassis.messaging.nodes import Node, Nodes

# A quorum queue without a leader blocks the channel, and even its orderly close, for a minute.
_CONFIRM_SECONDS = 10
_CLOSE_SECONDS = 2


class AmqpMessage(NamedTuple):
    exchange: str
    routing_key: str
    properties: broker.Properties
    body: bytes
    # Returned by the broker if no queue accepts it.
    mandatory: bool = True


def publish(nodes: Nodes, name: str, message: AmqpMessage) -> None:
    """Publish one message on a separate connection. A queue has stored it on return. Raises Error or OSError."""
    with Publisher(nodes, name) as publisher:
        if not publisher.publish([message]):
            raise broker.Error(f"no queue accepted the message with the routing key {message.routing_key}")


class Publisher:
    """Publishes many messages before it waits for their confirms: waiting for each would be fourteen times slower.

    Within its `with` block it is connected to the first node that responds. Only one thread may use it. Every method
    raises the error that broke the connection.
    """

    def __init__(self, nodes: Nodes, name: str) -> None:
        self._nodes, self._name = nodes, name
        self._connection: broker.Connection
        self._channel: broker.AsyncChannel
        self._failure: BaseException | None = None
        self._published_count = 0
        # Indices in the window that is being published, by delivery tag.
        self._unconfirmed: dict[int, int] = {}
        self._accepted: set[int] = set()
        self._returned_ids: set[str] = set()

    def __enter__(self) -> "Publisher":
        self._node, _ = broker.connect_to_first_reachable(self._nodes, self._open)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if isinstance(error, broker.Error | OSError):
            self._nodes.record_failure(self._node)
        self._close()

    def publish(self, window: Sequence[AmqpMessage]) -> set[int]:
        """Return the indices of the accepted messages, once the broker has confirmed or rejected every message."""
        self._accepted, self._returned_ids = set(), set()
        for index, message in enumerate(window):
            self._published_count += 1
            self._unconfirmed[self._published_count] = index
            self._channel.basic_publish(
                message.exchange, message.routing_key, message.body, message.properties, mandatory=message.mandatory
            )
        if window:
            timeout = broker.Error(f"no confirm within {_CONFIRM_SECONDS} s")
            self._run_loop(self._connection.ioloop.call_later(_CONFIRM_SECONDS, lambda: self._fail(timeout)))
        # The broker also confirms a message that it returned, after it returned it.
        return {i for i in self._accepted if window[i].properties.message_id not in self._returned_ids}

    def wait(self, seconds: float, descriptor: int) -> None:
        """Wait until the descriptor is readable, or for this time, while the connection exchanges heartbeats."""
        loop = self._connection.ioloop
        loop.add_handler(descriptor, lambda _descriptor, _events: loop.stop(), loop.READ)
        try:
            self._run_loop(loop.call_later(seconds, loop.stop))
        finally:
            loop.remove_handler(descriptor)

    def _open(self, node: Node) -> None:
        self._failure = None
        self._connection = broker.Connection(
            broker.parameters(node, self._name),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel_open),
            on_open_error_callback=lambda _connection, error: self._fail(error),
            on_close_callback=lambda _connection, error: self._fail(error),
        )
        try:
            self._run_loop()
        except BaseException:
            self._close()
            raise

    def _on_channel_open(self, channel: broker.AsyncChannel) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _channel, error: self._fail(error))
        channel.add_on_return_callback(lambda _c, _m, properties, _b: self._returned_ids.add(properties.message_id))
        channel.confirm_delivery(self._on_confirm, callback=lambda _frame: self._connection.ioloop.stop())

    def _on_confirm(self, frame: broker.MethodFrame) -> None:
        tag = frame.method.delivery_tag
        tags = [earlier for earlier in self._unconfirmed if earlier <= tag] if frame.method.multiple else [tag]
        indices = [self._unconfirmed.pop(tag) for tag in tags]
        if broker.is_ack(frame):
            self._accepted.update(indices)
        if not self._unconfirmed:
            self._connection.ioloop.stop()

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._connection.ioloop.stop()

    def _run_loop(self, timer: object = None) -> None:
        """Run the connection until a callback or the timer stops it; raise the error that broke it."""
        self._connection.ioloop.start()
        if timer:
            self._connection.ioloop.remove_timeout(timer)
        if self._failure:
            raise self._failure

    def _close(self) -> None:
        """Close the connection in an orderly way if the node responds; abort it otherwise."""
        loop = self._connection.ioloop
        if self._connection.is_open and not self._failure:
            self._connection.close()
            loop.call_later(_CLOSE_SECONDS, loop.stop)
            loop.start()
        if not self._connection.is_closed:
            self._connection.abort(broker.Error("the connection was abandoned"))
            loop.start()
        loop.close()
