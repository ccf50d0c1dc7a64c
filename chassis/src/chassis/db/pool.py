"""A bounded pool: last in, first out; it serves callers in the order of arrival and discards dead items."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from chassis.errors import Unavailable
from chassis.runtime.fair_semaphore import FairSemaphore
from chassis.runtime.metrics import PoolMetrics

Item = TypeVar("Item")

_MAX_AGE_SECONDS = 1800.0


@dataclass
class Lease(Generic[Item]):
    """An item in use; its holder sets `is_broken` if neither it nor the idle items may be used again."""

    item: Item
    created_at: float
    is_broken: bool = False


class Pool(Generic[Item]):
    """Holds at most `size` items, idle or in use. Safe between threads and between greenlets.

    Before an idle item is used again, `is_alive` is called with it and with the seconds for which it was idle.
    """

    def __init__(
        self,
        create: Callable[[], Item],
        *,
        size: int,
        wait_seconds: float,
        is_alive: Callable[[Item, float], bool],
        close: Callable[[Item], None],
        metrics: PoolMetrics,
    ) -> None:
        self._create, self._is_alive, self._close = create, is_alive, close
        self._wait_seconds, self._metrics = wait_seconds, metrics
        self._slots = FairSemaphore(size)
        self._idle: list[tuple[Item, float, float]] = []
        self._lock = threading.Lock()

    @contextmanager
    def lease(self) -> Iterator[Lease[Item]]:
        """Lend an item to the block. Raises Unavailable if none becomes free in time, and the errors of `create`."""
        if not self._acquire_slot():
            raise Unavailable("all database connections are in use")
        try:
            with self._metrics.in_use.track_inprogress():
                lease = self._acquire()
                try:
                    yield lease
                finally:
                    self._return(lease)
        finally:
            self._slots.release()

    def _acquire_slot(self) -> bool:
        if self._slots.acquire(timeout=0):
            # Much faster than the timer below.
            self._metrics.wait_seconds.observe(0)
            return True
        with self._metrics.waiting.track_inprogress(), self._metrics.wait_seconds.time():
            return self._slots.acquire(timeout=self._wait_seconds)

    def _acquire(self) -> Lease[Item]:
        while True:
            with self._lock:
                if not self._idle:
                    break
                item, created_at, idle_since = self._idle.pop()
            now = time.monotonic()
            if now - created_at < _MAX_AGE_SECONDS and self._is_alive(item, now - idle_since):
                return Lease(item, created_at)
            self._discard(item)
        return Lease(self._create(), time.monotonic())

    def _return(self, lease: Lease[Item]) -> None:
        if lease.is_broken:
            self.close()
            self._discard(lease.item)
            return
        with self._lock:
            self._idle.append((lease.item, lease.created_at, time.monotonic()))

    def _discard(self, item: Item) -> None:
        try:
            self._close(item)
        except Exception:  # closing a broken item may fail
            pass

    def close(self) -> None:
        """Close all idle items; the pool remains usable."""
        with self._lock:
            idle, self._idle = self._idle, []
        for item, _, _ in idle:
            self._discard(item)
