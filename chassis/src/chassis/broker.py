"""RabbitMQ: the only place that imports pika. Connections, queues as we declare them, publishing in windows."""

import socket
from collections.abc import Callable, Iterable
from typing import Any

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from chassis.outbox import EVENTS

Error = pika.exceptions.AMQPError
Properties = pika.BasicProperties

# A worker killed under a message is none of the message's failures, unless it happens this often.
MOST_DELIVERIES = 30
_ENDLESS = 2**31 - 1
_PERSISTENT = 2
_GOODBYE_SECONDS = 2
# A queue without a leader holds up the channel for a minute, its orderly end too.
_CONFIRM_SECONDS = 10


def parameters(url: str, name: str) -> pika.URLParameters:
    """Raises ValueError for an address that is none."""
    given = pika.URLParameters(url)
    if given.heartbeat is None:
        given.heartbeat = 30
    given.blocked_connection_timeout = 30
    given.socket_timeout = 5
    given.stack_timeout = 10
    given.connection_attempts = 1
    given.client_properties = {"connection_name": name}
    return given


def connect(url: str, name: str) -> pika.BlockingConnection:
    """Raises Error, or OSError where nothing listens."""
    return pika.BlockingConnection(parameters(url, name))


def leave_in_order(connection: pika.BlockingConnection) -> None:
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


def dead_letter_queue(queue: str) -> str:
    return f"{queue}.dead"


def declare_queue(
    channel: BlockingChannel, queue: str, bindings: Iterable[str] = (), *, single_active: bool = False
) -> None:
    """The queue, its dead letters, and the keys of the exchange `events` that it takes. Safe to repeat."""
    dead = dead_letter_queue(queue)
    channel.exchange_declare(EVENTS, "topic", durable=True)
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


def publish(url: str, name: str, queue: str, given: pika.BasicProperties, body: bytes) -> None:
    """The queue has it when this returns. On a connection of its own; raises Error or OSError."""
    windows = iter([[("", queue, given, body, True)]])
    taken: list[int] = []
    WindowPublisher(url, name, lambda: next(windows, None), taken.extend).run()
    if not taken:
        raise Error(f"{queue} did not take a message")


class WindowPublisher:
    """Publishes many messages before it waits for their confirms: one by one would be fourteen times slower.

    Runs its own loop in the calling thread. Each round it asks `next_window` for (exchange, key, properties, body,
    mandatory) tuples, publishes them, and hands the indices that the broker took to `confirmed`. Where the window was
    empty it pauses first. `next_window` returning None ends the loop.
    """

    def __init__(
        self,
        url: str,
        name: str,
        next_window: Callable[[], list[tuple[str, str, Any, bytes, bool]] | None],
        confirmed: Callable[[list[int]], None],
        *,
        pause_seconds: float = 0.1,
    ) -> None:
        self._next_window, self._confirmed = next_window, confirmed
        self._pause_seconds = pause_seconds
        self._failure: BaseException | None = None
        self._channel: Any = None
        self._patience: Any = None
        self._published = 0
        self._waiting: dict[int, int] = {}
        self._taken: list[int] = []
        self._returned: set[str] = set()
        self._window: list[tuple[str, str, Any, bytes, bool]] = []
        self._connection = pika.SelectConnection(
            parameters(url, name),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._opened),
            on_open_error_callback=lambda _connection, error: self._end(error),
            on_close_callback=lambda _connection, error: self._end(self._failure or error),
        )

    def run(self) -> None:
        """Until `next_window` says it is over. Raises what broke the connection or what a callback raised."""
        try:
            self._connection.ioloop.start()
        finally:
            self._connection.ioloop.close()
        if self._failure:
            raise self._failure

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(lambda _c, _method, given, _body: self._returned.add(given.message_id))
        channel.exchange_declare(EVENTS, "topic", durable=True)
        channel.confirm_delivery(self._on_confirm, callback=lambda _frame: self._guarded(self._round))

    def _channel_closed(self, _channel: Any, error: BaseException) -> None:
        if not isinstance(error, pika.exceptions.ChannelClosedByClient):
            self._abandon(error)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:
            self._abandon(error)

    def _round(self) -> None:
        window = self._next_window()
        if window is None:
            self._abandon(None)
        elif not window:
            self._connection.ioloop.call_later(self._pause_seconds, lambda: self._guarded(self._round))
        else:
            self._window, self._taken = window, []
            self._patience = self._connection.ioloop.call_later(
                _CONFIRM_SECONDS, lambda: self._end(Error(f"no confirm within {_CONFIRM_SECONDS} s"))
            )
            for index, (exchange, key, given, body, mandatory) in enumerate(window):
                self._published += 1
                self._waiting[self._published] = index
                self._channel.basic_publish(exchange, key, body, given, mandatory=mandatory)

    def _on_confirm(self, frame: Any) -> None:
        tag, is_ack = frame.method.delivery_tag, isinstance(frame.method, pika.spec.Basic.Ack)
        tags = [known for known in self._waiting if known <= tag] if frame.method.multiple else [tag]
        for done in tags:
            index = self._waiting.pop(done)
            # A returned message is confirmed too, after its return.
            if is_ack and self._window[index][2].message_id not in self._returned:
                self._taken.append(index)
        if not self._waiting:
            self._guarded(self._finish_window)

    def _finish_window(self) -> None:
        self._connection.ioloop.remove_timeout(self._patience)
        self._returned.clear()
        self._confirmed(sorted(self._taken))
        self._round()

    def _abandon(self, error: BaseException | None) -> None:
        self._failure = self._failure or error
        if self._connection.is_open:
            self._connection.close()

    def _end(self, error: BaseException) -> None:
        if not isinstance(error, pika.exceptions.ConnectionClosedByClient):
            self._failure = self._failure or error
        self._connection.ioloop.stop()
