"""RabbitMQ: the only place that imports pika. Connections and queues as we declare them."""

import math
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pika
import pika.exceptions
import pika.heartbeat
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from chassis.messaging.nodes import Node, Nodes
from chassis.messaging.outbox import EVENTS

Error = pika.exceptions.AMQPError
Properties = pika.BasicProperties
Opened = TypeVar("Opened")

# A worker killed under a message is none of the message's failures, unless it happens this often.
MOST_DELIVERIES = 30
_ENDLESS = 2**31 - 1
_PERSISTENT = 2
_GOODBYE_SECONDS = 2
# A node that stops answering is left within 15 s, and each address has 3 s to answer.
_HEARTBEAT_SECONDS = 10
_CHECK_SECONDS = 2
_CONNECT_SECONDS = 3


class _HeartbeatChecker(pika.heartbeat.HeartbeatChecker):
    """Leaves a node that was silent for 1.2 heartbeats, at most two seconds later; pika's own may take three.

    It counts intervals, as this process may have stood still itself.
    """

    @property
    def connection_is_idle(self) -> bool:
        return self._idle_byte_intervals >= math.ceil(1.2 * max(self._timeout, _HEARTBEAT_SECONDS) / _CHECK_SECONDS)

    def _start_check_timer(self) -> None:
        self._check_interval = _CHECK_SECONDS
        super()._start_check_timer()


class Connection(pika.SelectConnection):
    """Asynchronous: for who runs its loop."""

    def drop(self, error: Exception) -> None:
        """End it without a word to a node that would not answer."""
        self._terminate_stream(error)

    def _create_heartbeat_checker(self) -> _HeartbeatChecker | None:
        return _HeartbeatChecker(self, self.params.heartbeat) if self.params.heartbeat else None


def parameters(node: Node, name: str) -> pika.URLParameters:
    """Raise ValueError if the URL is invalid."""
    given = pika.URLParameters(node.url)
    given.host, given.port = node.address, node.port
    if given.ssl_options and not given.ssl_options.server_hostname:
        given.ssl_options.server_hostname = node.host
    if given.heartbeat is None:
        given.heartbeat = _HEARTBEAT_SECONDS
    given.blocked_connection_timeout = 30
    given.socket_timeout = given.stack_timeout = _CONNECT_SECONDS
    given.connection_attempts = 1
    given.client_properties = {"connection_name": name}
    return given


@contextmanager
def connected(nodes: Nodes, name: str) -> Iterator[pika.BlockingConnection]:
    """A connection to the first node that answers; where it is lost, that node is the last to be tried again.

    Raises Error if no node answers.
    """
    node, connection = _connect(nodes, name)
    try:
        yield connection
    except (Error, OSError):
        nodes.put_last(node)
        raise


def connect(url: str, name: str) -> pika.BlockingConnection:
    """As `connected`, for who does not connect again."""
    return _connect(Nodes(url), name)[1]


def _connect(nodes: Nodes, name: str) -> tuple[Node, pika.BlockingConnection]:
    return connect_to_first_reachable(
        nodes, lambda node: pika.BlockingConnection(parameters(node, name), _impl_class=Connection)
    )


def connect_to_first_reachable(nodes: Nodes, open_connection: Callable[[Node], Opened]) -> tuple[Node, Opened]:
    """Return the first node to which a connection can be opened, and the connection. Raises Error if none answers."""
    failure: BaseException | None = None
    for node in nodes.in_order():
        try:
            return node, open_connection(node)
        except (Error, AMQPConnectorException, OSError) as error:
            failure = error
            nodes.put_last(node)
    reason = f"no node of RabbitMQ answers ({failure!r})" if failure else "no host of RabbitMQ has an address"
    raise Error(reason) from failure


def close_gracefully(connection: pika.BlockingConnection) -> None:
    """Goes without goodbye, once all that was said has been heard.

    A consumer that closes its channel lets the next single active one have what comes behind its unacknowledged
    messages before these (RabbitMQ 3.10); one whose connection ends does not.
    """
    connection._impl._transport._sock.shutdown(socket.SHUT_WR)
    try:
        while connection.is_open:
            connection.process_data_events(_GOODBYE_SECONDS)
    except (Error, OSError):
        pass


def is_ack(frame: Any) -> bool:
    """Whether the broker took what it confirms."""
    return isinstance(frame.method, pika.spec.Basic.Ack)


def dead_letter_queue(queue: str) -> str:
    return f"{queue}.dead"


def declare_queue(
    channel: BlockingChannel, queue: str, bindings: Iterable[str] = (), *, single_active: bool = False
) -> None:
    """Declare the queue, its dead letters, and the keys of the exchange `events` that it takes. Safe to repeat.

    The exchange must exist: the broker's definitions have it, as no service may change it.
    """
    dead = dead_letter_queue(queue)
    # RabbitMQ 4 would drop a dead letter that was looked at twenty times.
    endless = {"x-queue-type": "quorum", "x-delivery-limit": _ENDLESS}
    channel.queue_declare(dead, durable=True, arguments=endless)
    channel.queue_declare(
        queue,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-single-active-consumer": single_active,
            "x-delivery-limit": MOST_DELIVERIES,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
    for key in bindings:
        channel.queue_bind(queue, EVENTS, key)


def properties(
    *, message_id: str, type: str, app_id: str, correlation_id: str, timestamp: int, headers: dict[str, Any]
) -> pika.BasicProperties:
    return pika.BasicProperties(
        message_id=message_id,
        type=type,
        app_id=app_id,
        correlation_id=correlation_id,
        timestamp=timestamp,
        headers=headers,
        content_type="application/json",
        delivery_mode=_PERSISTENT,
    )
