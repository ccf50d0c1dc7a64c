"""A semaphore that serves its waiters in the order of their arrival."""

import threading
from collections import deque


class FairSemaphore:
    """Admits up to `slots` holders at a time, first come, first served. Safe between threads and between greenlets.

    `threading.Semaphore` can be acquired by a newcomer between a release and the wake-up of the waiter, which then
    returns to the end of the queue: some callers wait ten times as long as the others.
    """

    def __init__(self, slots: int) -> None:
        self._free_slots = slots
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, *, timeout: float = -1) -> bool:
        """Return whether a slot was acquired within `timeout` seconds; -1 waits indefinitely."""
        with self._lock:
            if self._free_slots:
                self._free_slots -= 1
                return True
            if not timeout:
                return False
            waiter = threading.Lock()
            waiter.acquire()
            self._waiting.append(waiter)
        try:
            is_acquired = waiter.acquire(timeout=timeout)
        except BaseException:
            if not self._withdraw(waiter):
                self.release()
            raise
        return is_acquired or not self._withdraw(waiter)

    def _withdraw(self, waiter: threading.Lock) -> bool:
        """Remove the waiter from the queue; return False if a slot was assigned to it already."""
        with self._lock:
            is_waiting = waiter in self._waiting
            if is_waiting:
                self._waiting.remove(waiter)
            return is_waiting

    def release(self) -> None:
        """Hand the slot over to the first waiter, without an interval in which another caller could acquire it."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free_slots += 1

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
