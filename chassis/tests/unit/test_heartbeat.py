"""When a silent connection to RabbitMQ is left, on a clock of the test's own."""

from collections.abc import Callable
from typing import Any

import pytest

from chassis.messaging import broker
from chassis.messaging.broker import _HeartbeatChecker
from chassis.messaging.nodes import Nodes


class Clock:
    """What the checker knows of a connection: timers, bytes, and how to end it."""

    def __init__(self) -> None:
        self.now, self.bytes_received, self.bytes_sent = 0.0, 0, 0
        self.left_at: float | None = None
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def _adapter_call_later(self, seconds: float, call: Callable[[], None]) -> Any:
        self._timers.append((self.now + seconds, call))
        return self._timers[-1]

    def _adapter_remove_timeout(self, timer: Any) -> None:
        self._timers.remove(timer)

    def _send_frame(self, _frame: Any) -> None:
        self.bytes_sent += 8

    def _terminate_stream(self, _error: Any) -> None:
        self.left_at, self._timers = self.now, []

    def run_until(self, moment: float) -> None:
        while due := [timer for timer in self._timers if timer[0] <= moment]:
            first = min(due, key=lambda timer: timer[0])
            self._timers.remove(first)
            self.now = first[0]
            first[1]()
        self.now = moment

    def receive_until(self, end: float, every: float) -> None:
        while self.now + every <= end:
            self.run_until(self.now + every)
            self.bytes_received += 8


@pytest.mark.parametrize("last_byte_at", [20.0, 20.5, 21.0, 21.9, 22.1])
def test_a_node_that_goes_silent_is_left_within_15_seconds(last_byte_at: float) -> None:
    clock = Clock()
    _HeartbeatChecker(clock, 10)
    clock.receive_until(last_byte_at, last_byte_at / 4)
    clock.run_until(last_byte_at + 60)
    assert clock.left_at is not None
    assert 10 < clock.left_at - last_byte_at <= 15


def test_a_node_that_sends_its_heartbeats_late_is_kept() -> None:
    clock = Clock()
    _HeartbeatChecker(clock, 10)
    clock.receive_until(300, 9.9)
    assert clock.left_at is None


def test_the_heartbeat_is_10_s_and_an_address_has_3_s_to_answer() -> None:
    (node,) = Nodes("amqp://u:p@127.0.0.1/v").in_order()
    parameters = broker.parameters(node, "tests")
    assert (parameters.heartbeat, parameters.socket_timeout, parameters.stack_timeout) == (10, 3, 3)
    assert parameters.connection_attempts == 1


def test_a_certificate_is_checked_against_the_host_and_not_its_address() -> None:
    (node, *_) = Nodes("amqps://u:p@localhost/v").in_order()
    parameters = broker.parameters(node, "tests")
    assert parameters.host in ("127.0.0.1", "::1")
    assert parameters.ssl_options.server_hostname == "localhost"
