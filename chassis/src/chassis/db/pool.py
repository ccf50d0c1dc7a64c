"""A bounded pool: last in first out, waits for a free one in turn, drops what is dead."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from chassis.errors import Unavailable
from chassis.runtime.fair_semaphore import FairSemaphore

_OLDEST_SECONDS = 1800.0


@dataclass
class Lease:
    item: Any
    made_at: float
    broken: bool = False


class Pool:
    """At most `size` items are out or idle at once. Safe between threads and between greenlets.

    `is_alive` is asked before an item is used again, with the seconds for which it was idle.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        size: int,
        wait_seconds: float,
        is_alive: Callable[[Any, float], bool],
        close: Callable[[Any], None],
    ) -> None:
        self._make, self._is_alive, self._close = make, is_alive, close
        self._wait_seconds = wait_seconds
        self._free = FairSemaphore(size)
        self._idle: list[tuple[Any, float, float]] = []
        self._lock = threading.Lock()

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Raises Unavailable when nothing came free in time, and what `make` raises."""
        if not self._free.acquire(timeout=self._wait_seconds):
            raise Unavailable("all database connections are in use")
        try:
            lease = self._take()
            try:
                yield lease
            finally:
                self._give_back(lease)
        finally:
            self._free.release()

    def _take(self) -> Lease:
        while True:
            with self._lock:
                if not self._idle:
                    break
                item, made_at, idle_since = self._idle.pop()
            now = time.monotonic()
            if now - made_at < _OLDEST_SECONDS and self._is_alive(item, now - idle_since):
                return Lease(item, made_at)
            self._drop([item])
        return Lease(self._make(), time.monotonic())

    def _give_back(self, lease: Lease) -> None:
        if not lease.broken:
            with self._lock:
                self._idle.append((lease.item, lease.made_at, time.monotonic()))
            return
        with self._lock:
            idle, self._idle = self._idle, []
        self._drop([lease.item, *(item for item, _, _ in idle)])

    def _drop(self, items: list[Any]) -> None:
        for item in items:
            try:
                self._close(item)
            except Exception:  # what is thrown away may fail to say goodbye
                pass

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        self._drop([item for item, _, _ in idle])
