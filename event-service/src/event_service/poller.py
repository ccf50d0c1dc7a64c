"""Waiting for events: one query after each notification serves all waiting readers of a process."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field

from chassis import db
from chassis.db import Transaction, notifications
from chassis.errors import Unavailable
from chassis.runtime import logs
from event_service.store import streams

log = logs.logger(__name__)

# A stream, and an event name or None for all names.
Key = tuple[str, str | None]

# The next query follows a notification, or after this time.
_MAX_PAUSE_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_MAX_REGISTRATIONS = 65536
# The connection stays open that long after the last reader has left.
_LINGER_SECONDS = 60.0


@dataclass(eq=False)
class _Waiter:
    last: int
    awake: threading.Event = field(default_factory=threading.Event)


class AppendPoller:
    """A poller whose thread (a greenlet under gevent) runs only while readers wait. See docs/decisions/0002."""

    def __init__(self, database_url: str, is_stopping: Callable[[], bool]) -> None:
        self._database_url, self.is_stopping = database_url, is_stopping
        self._lock = threading.Lock()
        self._waiters: dict[Key, set[_Waiter]] = {}
        self._is_running = False
        self._used_at = 0.0
        # Receives a byte for each reader that begins to wait, which the running thread reads at the other end.
        self._doorbell: socket.socket | None = None

    def wait(self, stream: str, name: str | None, last: int, seconds: float) -> bool:
        """Return True as soon as a sequence greater than `last` exists or the process stops, False on timeout.

        If `name` is None, `last` is a position. While Postgres is unavailable, no event is reported.
        """
        waiter = _Waiter(last)
        key = (stream, name)
        with self._lock:
            self._waiters.setdefault(key, set()).add(waiter)
            must_start, self._is_running = not self._is_running, True
            self._used_at = time.monotonic()
        try:
            if must_start:
                self._start()
            # An event may have been appended between the reader's query, which found none, and its registration.
            self._ring()
            return waiter.awake.wait(seconds)
        finally:
            with self._lock:
                self._waiters[key].discard(waiter)
                if not self._waiters[key]:
                    del self._waiters[key]

    def _start(self) -> None:
        try:
            threading.Thread(target=self._run, name="poller", daemon=True).start()
        except RuntimeError as error:
            with self._lock:
                # The next waiter tries again.
                self._is_running = False
            raise Unavailable("the process cannot start a thread") from error

    def _ring(self) -> None:
        """Let the thread query soon. It will do so anyway if it is starting, or has not read the bytes of others."""
        with suppress(OSError):
            if self._doorbell:
                self._doorbell.send(b"1")

    def _run(self) -> None:
        while self._is_required():
            try:
                registrations, self._doorbell = ends = socket.socketpair()
                for end in ends:
                    end.setblocking(False)
                with (
                    registrations,
                    self._doorbell,
                    closing(db.connect(self._database_url, name="event-poller", autocommit=True)) as connection,
                ):
                    notifications.listen(connection)
                    self._poll(connection, registrations)
                return
            except (Unavailable, *db.ConnectionLost) as problem:
                log.warning("poller.unavailable", reason=repr(problem))
            except Exception:
                log.exception("poller.failed")
            time.sleep(_RETRY_SECONDS)

    def _is_required(self) -> bool:
        """Return whether a reader waits or has waited recently; if not, the next one starts another thread."""
        with self._lock:
            if self._waiters:
                self._used_at = time.monotonic()
                if self.is_stopping():
                    self._wake_all()
            self._is_running = time.monotonic() < self._used_at + _LINGER_SECONDS
            return self._is_running

    def _poll(self, connection: db.Connection, registrations: socket.socket) -> None:
        tx = Transaction(connection)
        while self._is_required():
            with suppress(BlockingIOError):
                registrations.recv(_MAX_REGISTRATIONS)
            with self._lock:
                keys = list(self._waiters)
            if keys:
                self._wake_readers(tx, keys)
            # One query for the notifications of all processes in this time.
            time.sleep(notifications.MIN_INTERVAL_SECONDS)
            notifications.wait(connection, _MAX_PAUSE_SECONDS, registrations)

    def _wake_readers(self, tx: Transaction, keys: list[Key]) -> None:
        """Wake the readers of these keys that have events to read."""
        last_numbers = streams.list_last_numbers(tx, keys)
        with self._lock:
            for key, number in zip(keys, last_numbers, strict=True):
                for waiter in self._waiters.get(key, ()):
                    if number > waiter.last:
                        waiter.awake.set()

    def _wake_all(self) -> None:
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.awake.set()
