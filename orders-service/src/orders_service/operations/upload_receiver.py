"""Uploads of a web process, written to Postgres while they arrive."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chassis.db import Database, Transaction, connect, translate_db_errors
from chassis.db.stored_uploads import UploadWriter
from chassis.errors import Busy, Problem
from chassis.runtime import logs
from orders_service.settings import Settings
from orders_service.store import upload_keys

log = logs.logger(__name__)

_KEY_WAIT_SECONDS = 3
_KEY_POLL_SECONDS = 0.1
_KEY_IN_USE = "a request with this Idempotency-Key is still in progress; retry after it completes"


class UploadReceiver:
    """Receiver of concurrent uploads; one that waits for its client costs two greenlets and a chunk of memory."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings
        self._keys = _KeyLocks(settings.database_url)

    @contextmanager
    def receiving(self, username: str, key: str | None) -> Iterator["FileWriter"]:
        """Yield a writer for the file, which is deleted unless it becomes an import."""
        with self._keys.holding(username, key), FileWriter(self.database) as writer:
            yield writer


class _KeyLocks:
    """Locks on the idempotency keys of the uploads in progress, all held by one connection of this process.

    The keys are therefore free as soon as the process dies, and many uploads do not exhaust the connections of
    Postgres. If the connection breaks, the keys are free too early: the claim of a key in the transaction of the 202
    still decides.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Any = None
        self._held: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @contextmanager
    def holding(self, username: str, key: str | None) -> Iterator[None]:
        """Hold the key within the block; raise Busy if another upload still holds it after a short wait.

        The wait is for clients that retry after a broken connection before the service has ended their first upload.
        """
        if key is None:
            yield
            return
        deadline = time.monotonic() + _KEY_WAIT_SECONDS
        while not self._hold(username, key):
            if time.monotonic() > deadline:
                raise Busy(_KEY_IN_USE)
            time.sleep(_KEY_POLL_SECONDS)
        try:
            yield
        finally:
            self._release(username, key)

    def _hold(self, username: str, key: str) -> bool:
        with self._lock:
            # Postgres would grant the lock again to the same connection.
            if (username, key) in self._held:
                return False
            with self._statements() as tx:
                if upload_keys.claim_key(tx, username, key):
                    self._held.add((username, key))
            return (username, key) in self._held

    def _release(self, username: str, key: str) -> None:
        with self._lock:
            self._held.discard((username, key))
            try:
                with self._statements() as tx:
                    upload_keys.release_key(tx, username, key)
            except Problem as problem:
                log.warning("key.not_released", reason=problem.detail)

    @contextmanager
    def _statements(self) -> Iterator[Transaction]:
        """Yield a transaction on the connection, which is open as long as a key is held."""
        try:
            with translate_db_errors():
                if self._connection is None:
                    self._connection = connect(self._dsn, name="orders-upload", autocommit=True)
                yield Transaction(self._connection)
        except BaseException:
            self._close()
            raise
        if not self._held:
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class FileWriter(UploadWriter):
    """Writer of an uploaded file that also estimates how many orders the file has."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._line_breaks, self._last_byte = 0, b"\n"

    def write(self, data: bytes) -> None:
        super().write(data)
        self._line_breaks += data.count(b"\n")
        self._last_byte = data[-1:] or self._last_byte

    @property
    def estimated_rows(self) -> int:
        """The number of lines without the header; a row may span several lines."""
        return max(self._line_breaks + (self._last_byte != b"\n") - 1, 0)
