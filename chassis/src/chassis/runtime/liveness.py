"""Liveness of the loops of a worker: whether each still ticks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

MAX_AGE_SECONDS = 60
_MAX_WAIT_SECONDS = 10.0


class Liveness:
    """The time of the last tick of one loop, which its thread records and other threads read."""

    def __init__(self) -> None:
        self._ticked_at = time.monotonic()
        self._is_suspended = False

    def tick(self) -> None:
        self._ticked_at = time.monotonic()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Expect no tick during the block, which calls a timer or waits for a response of Postgres or RabbitMQ.

        Each may take any time: nothing limits how long a process waits for a frozen Postgres or for a queue without a
        leader, and to restart it would not help. A loop whose timer never ends is therefore not stuck either: only
        `age_seconds` shows it.
        """
        self._is_suspended = True
        try:
            yield
        finally:
            self.tick()
            self._is_suspended = False

    def wait(self, stop_event: Event, seconds: float) -> bool:
        """Wait like `stop_event.wait`, and tick at intervals."""
        ends_at = time.monotonic() + seconds
        while (remaining := ends_at - time.monotonic()) > 0 and not stop_event.wait(min(remaining, _MAX_WAIT_SECONDS)):
            self.tick()
        return stop_event.is_set()

    def age_seconds(self) -> float:
        return time.monotonic() - self._ticked_at

    @property
    def is_stuck(self) -> bool:
        return not self._is_suspended and self.age_seconds() > MAX_AGE_SECONDS
