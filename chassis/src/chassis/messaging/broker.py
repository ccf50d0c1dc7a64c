"""RabbitMQ connections and queue declarations. This is the only module that imports pika."""

import math
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import pika
import pika.exceptions
import pika.heartbeat
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from chassis.messaging.nodes import Node, Nodes
from chassis.messaging.outbox import EVENTS

Error = pika.exceptions.AMQPError
BlockingConnection: TypeAlias = pika.BlockingConnection
Channel: TypeAlias = BlockingChannel
AsyncChannel: TypeAlias = pika.channel.Channel
Properties: TypeAlias = pika.BasicProperties
Deliver: TypeAlias = pika.spec.Basic.Deliver
MethodFrame: TypeAlias = pika.frame.Method
Opened = TypeVar("Opened")

# The broker redelivers a message this often, for example after its worker was killed, before it dead-letters it.
MAX_DELIVERIES = 30
PERSISTENT = 2
_UNLIMITED = 2**31 - 1
_CLOSE_SECONDS = 2
# A node that stops responding is abandoned within 15 s, and each address has 3 s to respond.
_HEARTBEAT_SECONDS = 10
_CHECK_SECONDS = 2
_CONNECT_SECONDS = 3


class _HeartbeatChecker(pika.heartbeat.HeartbeatChecker):  # type: ignore[misc]  # pika has no types
    """Abandons a node at most 2 s after it has been silent for 1.2 heartbeats; pika's own checker may need 3.

    It counts check intervals rather than seconds, because this process may have been suspended itself.
    """

    @property
    def connection_is_idle(self) -> bool:
        max_intervals = math.ceil(1.2 * max(self._timeout, _HEARTBEAT_SECONDS) / _CHECK_SECONDS)
        return bool(self._idle_byte_intervals >= max_intervals)

    def _start_check_timer(self) -> None:
        self._check_interval = _CHECK_SECONDS
        super()._start_check_timer()


class Connection(pika.SelectConnection):  # type: ignore[misc]  # pika has no types
    """An asynchronous connection, for callers that run its I/O loop."""

    def abort(self, error: Exception) -> None:
        """End the connection without the closing handshake, which an unresponsive node would not complete."""
        self._terminate_stream(error)

    def _create_heartbeat_checker(self) -> _HeartbeatChecker | None:
        return _HeartbeatChecker(self, self.params.heartbeat) if self.params.heartbeat else None


def parameters(node: Node, name: str) -> pika.URLParameters:
    """Return the parameters of a connection to the node; raise ValueError if its URL is invalid."""
    params = pika.URLParameters(node.url)
    params.host, params.port = node.address, node.port
    if params.ssl_options and not params.ssl_options.server_hostname:
        params.ssl_options.server_hostname = node.host
    if params.heartbeat is None:
        params.heartbeat = _HEARTBEAT_SECONDS
    params.blocked_connection_timeout = 30
    params.socket_timeout = params.stack_timeout = _CONNECT_SECONDS
    params.connection_attempts = 1
    params.client_properties = {"connection_name": name}
    return params


@contextmanager
def connected(nodes: Nodes, name: str) -> Iterator[BlockingConnection]:
    """Connect to the first node that responds; if the connection is lost, that node is tried last the next time.

    Raises Error if no node responds.
    """
    node, connection = _connect(nodes, name)
    try:
        yield connection
    except (Error, OSError):
        nodes.record_failure(node)
        raise


def connect(url: str, name: str) -> BlockingConnection:
    """Connect like `connected`, for callers that will not reconnect."""
    return _connect(Nodes(url), name)[1]


def _connect(nodes: Nodes, name: str) -> tuple[Node, BlockingConnection]:
    return connect_to_first_reachable(
        nodes, lambda node: BlockingConnection(parameters(node, name), _impl_class=Connection)
    )


def connect_to_first_reachable(nodes: Nodes, open_connection: Callable[[Node], Opened]) -> tuple[Node, Opened]:
    """Return the first node to which a connection can be opened, and the connection. Raises Error if all fail."""
    failure: BaseException | None = None
    for node in nodes.in_order():
        try:
            return node, open_connection(node)
        except (Error, AMQPConnectorException, OSError) as error:
            failure = error
            nodes.record_failure(node)
    reason = f"no node of RabbitMQ responds ({failure!r})" if failure else "no host of RabbitMQ can be resolved"
    raise Error(reason) from failure


def close_gracefully(connection: BlockingConnection) -> None:
    """End the connection without AMQP's closing handshake, once all data in transit has been received.

    If a consumer closes its channel, the next single active consumer may receive later messages before those that were
    not acknowledged (RabbitMQ 3.10). If its connection ends, the order is kept.
    """
    connection._impl._transport._sock.shutdown(socket.SHUT_WR)
    try:
        while connection.is_open:
            connection.process_data_events(_CLOSE_SECONDS)
    except (Error, OSError):
        pass


def is_ack(frame: MethodFrame) -> bool:
    """Return whether the broker accepted the messages that the frame confirms."""
    return isinstance(frame.method, pika.spec.Basic.Ack)


def dead_letter_queue(queue: str) -> str:
    return f"{queue}.dead"


def declare_queue(channel: Channel, queue: str, bindings: Iterable[str] = (), *, single_active: bool = False) -> None:
    """Declare the queue and its dead-letter queue, and bind it to keys of the exchange `events`. Idempotent.

    The exchange must exist: it comes from the broker's definitions, because no service may change it.
    """
    dead_queue = dead_letter_queue(queue)
    # By default RabbitMQ 4 drops a message after twenty deliveries, and showing a dead letter delivers it.
    dead_letter_arguments = {"x-queue-type": "quorum", "x-delivery-limit": _UNLIMITED}
    channel.queue_declare(dead_queue, durable=True, arguments=dead_letter_arguments)
    channel.queue_declare(
        queue,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-single-active-consumer": single_active,
            "x-delivery-limit": MAX_DELIVERIES,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead_queue,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
    for key in bindings:
        channel.queue_bind(queue, EVENTS, key)
