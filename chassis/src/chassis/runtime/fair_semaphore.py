"""A semaphore that is fair."""

import threading
from collections import deque


class FairSemaphore:
    """As many at once as there are places; who has waited longest is next. Safe between threads and between greenlets.

    `threading.Semaphore` lets whoever comes between a release and the waking of the one who waits go first, and sends
    that one to the end of the queue again: some then wait ten times as long as the rest.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, *, timeout: float = -1) -> bool:
        """False where no place came free within so many seconds; -1 waits without end."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            came = turn.acquire(timeout=timeout)
        except BaseException:
            if not self._leave(turn):
                self.release()
            raise
        return came or not self._leave(turn)

    def _leave(self, turn: threading.Lock) -> bool:
        """False: too late, the place was given already."""
        with self._lock:
            waits = turn in self._waiting
            if waits:
                self._waiting.remove(turn)
            return waits

    def release(self) -> None:
        """To who is next, without a moment in which anybody else could take it."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
