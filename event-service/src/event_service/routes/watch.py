"""Readers that wait: each a greenlet asleep, and one question to Postgres on behalf of all of them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from chassis.db import Database
from chassis.errors import Unavailable
from chassis.runtime import logs
from event_service.store import reading

log = logs.logger(__name__)

# A stream's events of one name, or of all.
Key = tuple[str, str | None]

_LONGEST_PAUSE_SECONDS = 1.0


@dataclass(eq=False)
class _Waiter:
    known: int
    awake: threading.Event = field(default_factory=threading.Event)


class Watch:
    """Runs a thread (a greenlet under gevent) only while somebody waits. See docs/decisions/0002."""

    def __init__(self, database: Database, every_seconds: float, is_stopping: Callable[[], bool]) -> None:
        self._database, self._every_seconds, self.is_stopping = database, every_seconds, is_stopping
        self._lock = threading.Lock()
        self._waiters: dict[Key, set[_Waiter]] = {}
        self._is_ticking = False

    def wait(self, stream: str, name: str | None, known: int, seconds: float) -> bool:
        """Until there is a sequence (of all names: a position) above `known`, or the process wants to end.

        False: the time is up. While Postgres is away nothing is new.
        """
        waiter = _Waiter(known)
        key = (stream, name)
        with self._lock:
            self._waiters.setdefault(key, set()).add(waiter)
            starts, self._is_ticking = not self._is_ticking, True
        if starts:
            threading.Thread(target=self._tick, name="watch", daemon=True).start()
        try:
            return waiter.awake.wait(seconds)
        finally:
            with self._lock:
                self._waiters[key].discard(waiter)
                if not self._waiters[key]:
                    del self._waiters[key]

    def _tick(self) -> None:
        pause = threading.Event()
        pause_seconds = self._every_seconds
        while True:
            pause.wait(pause_seconds)
            with self._lock:
                wanted = list(self._waiters)
                self._is_ticking = bool(wanted)
            if not wanted:
                return
            if self.is_stopping():
                self._wake(dict.fromkeys(wanted, 1 << 63))
                continue
            try:
                with self._database.statements() as tx:
                    found = reading.list_last(tx, wanted)
                pause_seconds = self._every_seconds
            except Unavailable as problem:
                log.warning("watch.waits", reason=problem.detail)
                pause_seconds = _LONGEST_PAUSE_SECONDS
            except Exception:
                log.exception("watch.failed")
                pause_seconds = _LONGEST_PAUSE_SECONDS
            else:
                self._wake(found)

    def _wake(self, last: dict[Key, int]) -> None:
        with self._lock:
            for key, number in last.items():
                for waiter in self._waiters.get(key, ()):
                    if number > waiter.known:
                        waiter.awake.set()
