"""Publishing with confirms: what was confirmed, a queue has."""

from collections.abc import Callable
from typing import Any

from chassis.messaging import broker
from chassis.messaging.nodes import Node, Nodes
from chassis.messaging.outbox import EVENTS

# A queue without a leader holds up the channel for a minute, its orderly end too.
_CONFIRM_SECONDS = 10


def publish(nodes: Nodes, name: str, queue: str, given: Any, body: bytes) -> None:
    """The queue has it when this returns. On a connection of its own; raises Error or OSError."""
    windows = iter([[("", queue, given, body, True)]])
    taken: list[int] = []
    WindowPublisher(nodes, name, lambda: next(windows, None), taken.extend).run()
    if not taken:
        raise broker.Error(f"{queue} did not take a message")


class WindowPublisher:
    """Publishes many messages before it waits for their confirms: one by one would be fourteen times slower.

    Runs its own loop in the calling thread. Each round it asks `next_window` for (exchange, key, properties, body,
    mandatory) tuples, publishes them, and hands the indices that the broker took to `confirmed`. Where the window was
    empty it pauses first. `next_window` returning None ends the loop.
    """

    def __init__(
        self,
        nodes: Nodes,
        name: str,
        next_window: Callable[[], list[tuple[str, str, Any, bytes, bool]] | None],
        confirmed: Callable[[list[int]], None],
        *,
        pause_seconds: float = 0.1,
    ) -> None:
        self._nodes, self._name = nodes, name
        self._next_window, self._confirmed = next_window, confirmed
        self._pause_seconds = pause_seconds
        self._failure: BaseException | None = None
        self._is_open = False
        self._channel: Any = None
        self._patience: Any = None
        self._published = 0
        self._waiting: dict[int, int] = {}
        self._taken: list[int] = []
        self._returned: set[str] = set()
        self._window: list[tuple[str, str, Any, bytes, bool]] = []
        self._connection: Any = None

    def run(self) -> None:
        """Until `next_window` says it is over, on the first node that answers.

        Raises what broke the connection, what a callback raised, or why no node answered.
        """
        failure: BaseException | None = None
        for node in self._nodes.in_order():
            failure = self._run_on(node)
            if not self._is_open or isinstance(failure, (broker.Error, OSError)):
                self._nodes.put_last(node)
            if self._is_open:
                break
        if not self._is_open:
            raise broker.no_answer(failure) from failure
        if failure:
            raise failure

    def _run_on(self, node: Node) -> BaseException | None:
        """What ended it; None: `next_window` did."""
        self._failure = None
        self._connection = broker.Connection(
            broker.parameters(node, self._name),
            on_open_callback=self._connection_opened,
            on_open_error_callback=lambda _connection, error: self._end(error),
            on_close_callback=lambda _connection, error: self._end(self._failure or error),
        )
        try:
            self._connection.ioloop.start()
        finally:
            self._connection.ioloop.close()
        return self._failure

    def _connection_opened(self, connection: Any) -> None:
        self._is_open = True
        connection.channel(on_open_callback=self._opened)

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(lambda _c, _method, given, _body: self._returned.add(given.message_id))
        channel.exchange_declare(EVENTS, "topic", durable=True)
        channel.confirm_delivery(self._on_confirm, callback=lambda _frame: self._guarded(self._round))

    def _channel_closed(self, _channel: Any, error: BaseException) -> None:
        if not isinstance(error, broker.ClosedByUs):
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
                _CONFIRM_SECONDS,
                lambda: self._connection.drop(broker.Error(f"no confirm within {_CONFIRM_SECONDS} s")),
            )
            for index, (exchange, key, given, body, mandatory) in enumerate(window):
                self._published += 1
                self._waiting[self._published] = index
                self._channel.basic_publish(exchange, key, body, given, mandatory=mandatory)

    def _on_confirm(self, frame: Any) -> None:
        tag, is_ack = frame.method.delivery_tag, broker.is_ack(frame)
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
        if not isinstance(error, broker.ClosedByUs):
            self._failure = self._failure or error
        self._connection.ioloop.stop()
