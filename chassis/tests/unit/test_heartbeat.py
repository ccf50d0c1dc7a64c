"""A silent connection to RabbitMQ is abandoned in time, tested with a simulated connection and clock."""

from collections.abc import Callable
from typing import Any

import pytest

from chassis.messaging import broker
from chassis.messaging.broker import _HeartbeatChecker
from chassis.messaging.nodes import Nodes


class SimulatedConnection:
    """The parts of a connection that the checker uses: timers, byte counts, and how to end it."""

    def __init__(self) -> None:
        self.now, self.bytes_received, self.bytes_sent = 0.0, 0, 0
        self.terminated_at: float | None = None
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def _adapter_call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        self._timers.append((self.now + seconds, callback))
        return self._timers[-1]

    def _adapter_remove_timeout(self, timer: Any) -> None:
        self._timers.remove(timer)

    def _send_frame(self, _frame: Any) -> None:
        self.bytes_sent += 8

    def _terminate_stream(self, _error: Any) -> None:
        self.terminated_at, self._timers = self.now, []

    def run_until(self, end: float) -> None:
        while due := [timer for timer in self._timers if timer[0] <= end]:
            next_timer = min(due, key=lambda timer: timer[0])
            self._timers.remove(next_timer)
            self.now, callback = next_timer
            callback()
        self.now = end

    def receive_until(self, end: float, interval: float) -> None:
        while self.now + interval <= end:
            self.run_until(self.now + interval)
            self.bytes_received += 8


@pytest.mark.parametrize("last_byte_at", [20.0, 20.5, 21.0, 21.9, 22.1])
def test_abandons_a_silent_node_within_15_seconds(last_byte_at: float) -> None:
    connection = SimulatedConnection()
    _HeartbeatChecker(connection, 10)
    connection.receive_until(last_byte_at, last_byte_at / 4)
    connection.run_until(last_byte_at + 60)
    assert connection.terminated_at is not None
    assert 10 < connection.terminated_at - last_byte_at <= 15


def test_keeps_a_node_whose_heartbeats_are_late() -> None:
    connection = SimulatedConnection()
    _HeartbeatChecker(connection, 10)
    connection.receive_until(300, 9.9)
    assert connection.terminated_at is None


def test_heartbeat_is_10_seconds_and_connect_timeout_3_seconds() -> None:
    (node,) = Nodes("amqp://u:p@127.0.0.1/v").in_order()
    parameters = broker.parameters(node, "tests")
    assert (parameters.heartbeat, parameters.socket_timeout, parameters.stack_timeout) == (10, 3, 3)
    assert parameters.connection_attempts == 1


def test_certificate_is_verified_against_the_host_name() -> None:
    (node, *_) = Nodes("amqps://u:p@localhost/v").in_order()
    parameters = broker.parameters(node, "tests")
    assert parameters.host in ("127.0.0.1", "::1")
    assert parameters.ssl_options.server_hostname == "localhost"
