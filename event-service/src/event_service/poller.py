"""Waiting for events: one repeated query to Postgres serves all waiting readers of a process."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from chassis.db import Database
from chassis.errors import Unavailable
from chassis.runtime import logs
from event_service.store import streams

log = logs.logger(__name__)

# A stream, and an event name or None for all names.
Key = tuple[str, str | None]

_ERROR_DELAY_SECONDS = 1.0


@dataclass(eq=False)
class _Waiter:
    last: int
    awake: threading.Event = field(default_factory=threading.Event)


class AppendPoller:
    """A poller whose thread (a greenlet under gevent) runs only while a reader waits. See docs/decisions/0002."""

    def __init__(self, database: Database, interval_seconds: float, is_stopping: Callable[[], bool]) -> None:
        self._database, self._interval_seconds, self.is_stopping = database, interval_seconds, is_stopping
        self._lock = threading.Lock()
        self._waiters: dict[Key, set[_Waiter]] = {}
        self._is_polling = False

    def wait(self, stream: str, name: str | None, last: int, seconds: float) -> bool:
        """Return True as soon as a sequence greater than `last` exists or the process stops, False on timeout.

        If `name` is None, `last` is a position. While Postgres is unavailable, no event is reported.
        """
        waiter = _Waiter(last)
        key = (stream, name)
        with self._lock:
            self._waiters.setdefault(key, set()).add(waiter)
            must_start, self._is_polling = not self._is_polling, True
        try:
            if must_start:
                self._start()
            return waiter.awake.wait(seconds)
        finally:
            with self._lock:
                self._waiters[key].discard(waiter)
                if not self._waiters[key]:
                    del self._waiters[key]

    def _start(self) -> None:
        try:
            threading.Thread(target=self._poll, name="poller", daemon=True).start()
        except RuntimeError as error:
            with self._lock:
                # The next waiter tries again.
                self._is_polling = False
            raise Unavailable("the process cannot start a thread") from error

    def _poll(self) -> None:
        timer = threading.Event()
        delay_seconds = self._interval_seconds
        while True:
            timer.wait(delay_seconds)
            with self._lock:
                keys = list(self._waiters)
                self._is_polling = bool(keys)
            if not keys:
                return
            delay_seconds = self._wake_readers(keys)

    def _wake_readers(self, keys: list[Key]) -> float:
        """Wake the readers that have events to read; return the seconds until the next query."""
        if self.is_stopping():
            # Greater than every sequence and position, so it wakes all readers.
            self._wake(keys, [1 << 63] * len(keys))
            return self._interval_seconds
        try:
            with self._database.statements() as tx:
                last_numbers = streams.list_last_numbers(tx, keys)
        except Unavailable as problem:
            log.warning("poller.unavailable", reason=problem.detail)
            return _ERROR_DELAY_SECONDS
        except Exception:
            log.exception("poller.failed")
            return _ERROR_DELAY_SECONDS
        self._wake(keys, last_numbers)
        return self._interval_seconds

    def _wake(self, keys: list[Key], last_numbers: list[int]) -> None:
        with self._lock:
            for key, number in zip(keys, last_numbers, strict=True):
                for waiter in self._waiters.get(key, ()):
                    if number > waiter.last:
                        waiter.awake.set()
