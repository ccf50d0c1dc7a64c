"""While a pipeline is worked on: it stays ours, or the work is told to stop."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chassis.db import Database
from chassis.errors import Problem
from chassis.messaging.attempts import Interrupted
from chassis.runtime import logs
from specstore_service.store import jobs
from specstore_service.store.jobs import Attempt

log = logs.logger(__name__)

_LONGEST_PAUSE = 2.0


class Lost(Exception):
    """The pipeline has ended (cancelled, timed out), or another worker has it: nothing more is to be done."""


class Lease:
    """Renewed by a thread of its own. Where Postgres is away the work goes on: its end is told if it still counts."""

    def __init__(self, database: Database, attempt: Attempt, seconds: float, stopping: threading.Event) -> None:
        self._database, self._attempt, self._seconds = database, attempt, seconds
        self._stopping, self._over = stopping, threading.Event()
        self._is_lost = False
        self._to_be_told: Callable[[], None] | None = None

    def check(self) -> None:
        """Raises Lost, or Interrupted where the worker stops."""
        if self._is_lost:
            raise Lost
        if self._stopping.is_set():
            raise Interrupted

    def pause(self, seconds: float) -> None:
        """Raises as check does, in the middle of the pause too."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check()
            self._over.wait(min(left, 0.2))
        self.check()

    @contextmanager
    def telling(self, tell: Callable[[], None]) -> Iterator[None]:
        """For work that waits elsewhere: `tell` is called once there is no point in waiting."""
        self._to_be_told = tell
        try:
            self.check()
            yield
        finally:
            self._to_be_told = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        thread = threading.Thread(target=self._keep, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _keep(self) -> None:
        pause = min(self._seconds / 4, _LONGEST_PAUSE)
        renewed_at = time.monotonic()
        while not self._over.wait(0.2):
            if self._stopping.is_set():
                self._tell()
            elif time.monotonic() - renewed_at >= pause:
                renewed_at = time.monotonic()
                self._renew()
            if self._is_lost:
                self._tell()

    def _renew(self) -> None:
        try:
            with self._database.transaction() as tx:
                self._is_lost = not jobs.renew(tx, self._attempt, self._seconds)
        except Problem as problem:
            log.warning("pipeline.not_renewed", reason=problem.detail)

    def _tell(self) -> None:
        if tell := self._to_be_told:
            tell()
