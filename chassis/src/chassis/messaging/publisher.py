"""Publishing with confirms: what was confirmed, a queue has."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple

from chassis.messaging import broker
from chassis.messaging.nodes import Node, Nodes

# A queue without a leader holds up the channel for a minute, its orderly end too.
_CONFIRM_SECONDS = 10
_CLOSE_SECONDS = 2


class Publication(NamedTuple):
    exchange: str
    routing_key: str
    properties: Any
    body: bytes
    # Rejected where no queue takes it.
    mandatory: bool = True


def publish(nodes: Nodes, name: str, publication: Publication) -> None:
    """Publish one message on a connection of its own; a queue has it when this returns. Raises Error or OSError."""
    with Publisher(nodes, name) as publisher:
        if not publisher.publish([publication]):
            raise broker.Error(f"{publication.routing_key} did not take a message")


class Publisher:
    """Publishes many messages before it waits for their confirms: one by one would be fourteen times slower.

    Connected within its `with` block, to the first node that answers; used by one thread. Every method raises what
    breaks the connection.
    """

    def __init__(self, nodes: Nodes, name: str) -> None:
        self._nodes, self._name = nodes, name
        self._connection: Any = None
        self._channel: Any = None
        self._failure: BaseException | None = None
        self._published = 0
        # By delivery tag: indices of the window that is being published.
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
            self._nodes.put_last(self._node)
        self._close()

    def publish(self, window: Sequence[Publication]) -> set[int]:
        """Return the indices of the messages that the broker took, once it has confirmed or rejected all of them."""
        self._accepted, self._returned_ids = set(), set()
        for index, message in enumerate(window):
            self._published += 1
            self._unconfirmed[self._published] = index
            self._channel.basic_publish(
                message.exchange, message.routing_key, message.body, message.properties, mandatory=message.mandatory
            )
        if window:
            too_late = broker.Error(f"no confirm within {_CONFIRM_SECONDS} s")
            self._run(self._connection.ioloop.call_later(_CONFIRM_SECONDS, lambda: self._fail(too_late)))
        # A returned message is confirmed too, after its return.
        return {i for i in self._accepted if window[i].properties.message_id not in self._returned_ids}

    def idle(self, seconds: float) -> None:
        """Wait, and take part in the heartbeat meanwhile."""
        self._run(self._connection.ioloop.call_later(seconds, self._connection.ioloop.stop))

    def _open(self, node: Node) -> None:
        self._failure = None
        self._connection = broker.Connection(
            broker.parameters(node, self._name),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._channel_opened),
            on_open_error_callback=lambda _connection, error: self._fail(error),
            on_close_callback=lambda _connection, error: self._fail(error),
        )
        try:
            self._run()
        except BaseException:
            self._close()
            raise

    def _channel_opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _channel, error: self._fail(error))
        channel.add_on_return_callback(lambda _c, _m, properties, _b: self._returned_ids.add(properties.message_id))
        channel.confirm_delivery(self._confirmed, callback=lambda _frame: self._connection.ioloop.stop())

    def _confirmed(self, frame: Any) -> None:
        tag = frame.method.delivery_tag
        tags = [earlier for earlier in self._unconfirmed if earlier <= tag] if frame.method.multiple else [tag]
        indices = [self._unconfirmed.pop(each) for each in tags]
        if broker.is_ack(frame):
            self._accepted.update(indices)
        if not self._unconfirmed:
            self._connection.ioloop.stop()

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._connection.ioloop.stop()

    def _run(self, timer: Any = None) -> None:
        """Let the connection work until a callback or the timer stops it; raise what broke it."""
        self._connection.ioloop.start()
        if timer:
            self._connection.ioloop.remove_timeout(timer)
        if self._failure:
            raise self._failure

    def _close(self) -> None:
        """Say goodbye to a node that answers, and do not wait for one that does not."""
        loop = self._connection.ioloop
        if self._connection.is_open and not self._failure:
            self._connection.close()
            loop.call_later(_CLOSE_SECONDS, loop.stop)
            loop.start()
        if not self._connection.is_closed:
            self._connection.drop(broker.Error("the connection is given up"))
            loop.start()
        loop.close()
