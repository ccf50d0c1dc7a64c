"""Uploads of one web process: files are written to Postgres while they arrive."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chassis.db import Database, Transaction, connect, translate_db_errors
from chassis.errors import Conflict, Problem, Unavailable
from chassis.runtime import logs
from orders_service.settings import Settings
from orders_service.store import uploads

log = logs.logger(__name__)

# Each upload in progress keeps at most one in memory.
BLOCK_BYTES = 256 * 1024
_SIGN_OF_LIFE_SECONDS = 10
_KEY_FREE_WITHIN_SECONDS = 3
_LOOK_AGAIN_SECONDS = 0.1
_UNDER_WAY = "a request with this Idempotency-Key is still in progress; retry after it completes"


class UploadReceiver:
    """Any number of uploads at a time: one that waits for its client costs a greenlet and a block of memory."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings
        self._keys = _KeyLocks(settings.database_url)

    @contextmanager
    def receiving(self, username: str, key: str | None) -> Iterator["BlockWriter"]:
        """Yield a writer of the file. If the upload ends for any reason before it became an import, delete it.

        A process that is killed cannot do that; the worker does, when the upload was silent for a while.
        """
        with self._keys.holding(username, key):
            writer = BlockWriter(self.database)
            try:
                yield writer
            except BaseException:
                writer.discard()
                raise


class _KeyLocks:
    """Idempotency keys of uploads in progress, locked by one connection for all of this process.

    So they are free as soon as the process is dead, and many uploads do not use up the connections of Postgres. Where
    the connection breaks they are free too early: the claim of a key in the transaction of the 202 still decides.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Any = None
        self._held: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @contextmanager
    def holding(self, username: str, key: str | None) -> Iterator[None]:
        """Raises Conflict where another upload has it, and still has it after a moment.

        A client that repeats the request because its connection broke is quicker than the end of the first upload.
        """
        if key is None:
            yield
            return
        until = time.monotonic() + _KEY_FREE_WITHIN_SECONDS
        while not self._hold(username, key):
            if time.monotonic() > until:
                raise Conflict(_UNDER_WAY)
            time.sleep(_LOOK_AGAIN_SECONDS)
        try:
            yield
        finally:
            self._release(username, key)

    def _hold(self, username: str, key: str) -> bool:
        with self._lock:
            # Postgres would let the same connection lock it once more.
            if (username, key) in self._held:
                return False
            with self._statements() as tx:
                if uploads.hold_key(tx, username, key):
                    self._held.add((username, key))
            return (username, key) in self._held

    def _release(self, username: str, key: str) -> None:
        with self._lock:
            self._held.discard((username, key))
            try:
                with self._statements() as tx:
                    uploads.release_key(tx, username, key)
            except Problem as problem:
                log.warning("key.not_released", reason=problem.detail)

    @contextmanager
    def _statements(self) -> Iterator[Transaction]:
        """The connection is open as long as a key is held."""
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


class BlockWriter:
    """Gathers the file into blocks; each block is a statement of its own, however slow the client is."""

    def __init__(self, database: Database) -> None:
        self.id = str(uuid.uuid4())
        self._database = database
        self._buffer: list[bytes] = []
        self._buffer_bytes = 0
        self._last_byte = b"\n"
        self._seen_at = time.monotonic()
        self.blocks = self.lines = 0
        with database.transaction() as tx:
            uploads.insert_upload(tx, self.id)

    def write(self, data: bytes) -> None:
        if not data:
            return
        self._buffer.append(data)
        self._buffer_bytes += len(data)
        self.lines += data.count(b"\n")
        self._last_byte = data[-1:]
        if self._buffer_bytes >= BLOCK_BYTES:
            self._store()
        elif time.monotonic() - self._seen_at > _SIGN_OF_LIFE_SECONDS:
            with self._database.statements() as tx:
                self._seen(uploads.touch_upload(tx, self.id))

    def finish(self) -> None:
        if self._buffer:
            self._store()
        self.lines += self._last_byte != b"\n"

    @property
    def rows(self) -> int:
        """As far as lines tell: the header is not a row."""
        return max(self.lines - 1, 0)

    def _store(self) -> None:
        content = b"".join(self._buffer)
        self._buffer.clear()
        with self._database.statements() as tx:
            self._seen(uploads.insert_block(tx, self.id, self.blocks, content))
        self.blocks, self._buffer_bytes = self.blocks + 1, 0

    def _seen(self, exists: bool) -> None:
        if not exists:
            raise Unavailable("the upload took too long and was given up")
        self._seen_at = time.monotonic()

    def discard(self) -> None:
        try:
            with self._database.transaction() as tx:
                # What became an import has no upload any more, and stays.
                if uploads.delete_upload(tx, self.id):
                    uploads.delete_blocks(tx, self.id)
        except Problem as problem:
            log.warning("upload.not_discarded", upload=self.id, reason=problem.detail)
