"""Uploads of a web process, written to Postgres while they arrive."""

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

# Each upload in progress buffers at most one block.
BLOCK_BYTES = 256 * 1024
_HEARTBEAT_SECONDS = 10
_KEY_WAIT_SECONDS = 3
_KEY_POLL_SECONDS = 0.1
_KEY_IN_USE = "a request with this Idempotency-Key is still in progress; retry after it completes"


class UploadReceiver:
    """Receiver of concurrent uploads; an upload that waits for its client costs a greenlet and a block of memory."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings
        self._keys = _KeyLocks(settings.database_url)

    @contextmanager
    def receiving(self, username: str, key: str | None) -> Iterator["BlockWriter"]:
        """Yield a writer for the file, and delete the upload if an exception ends it before it becomes an import.

        If the process is killed, the worker deletes the upload after a timeout.
        """
        with self._keys.holding(username, key):
            writer = BlockWriter(self.database)
            try:
                yield writer
            except BaseException:
                writer.discard()
                raise


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
        """Hold the key within the block; raise Conflict if another upload still holds it after a short wait.

        The wait is for clients that retry after a broken connection before the service has ended their first upload.
        """
        if key is None:
            yield
            return
        deadline = time.monotonic() + _KEY_WAIT_SECONDS
        while not self._hold(username, key):
            if time.monotonic() > deadline:
                raise Conflict(_KEY_IN_USE)
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
                if uploads.claim_key(tx, username, key):
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


class BlockWriter:
    """Writer that collects the file into blocks and stores each one with a separate statement."""

    def __init__(self, database: Database) -> None:
        self.id = str(uuid.uuid4())
        self._database = database
        self._buffer: list[bytes] = []
        self._buffer_bytes = 0
        self._last_byte = b"\n"
        self._seen_at = time.monotonic()
        self.block_count = self.line_count = 0
        with database.transaction() as tx:
            uploads.insert_upload(tx, self.id)

    def write(self, data: bytes) -> None:
        if not data:
            return
        self._buffer.append(data)
        self._buffer_bytes += len(data)
        self.line_count += data.count(b"\n")
        self._last_byte = data[-1:]
        if self._buffer_bytes >= BLOCK_BYTES:
            self._store()
        elif time.monotonic() - self._seen_at > _HEARTBEAT_SECONDS:
            with self._database.statements() as tx:
                self._check_seen(uploads.update_seen_at(tx, self.id))

    def finish(self) -> None:
        if self._buffer:
            self._store()
        self.line_count += self._last_byte != b"\n"

    @property
    def estimated_rows(self) -> int:
        """The number of lines without the header; a row may span several lines."""
        return max(self.line_count - 1, 0)

    def _store(self) -> None:
        content = b"".join(self._buffer)
        self._buffer.clear()
        with self._database.statements() as tx:
            self._check_seen(uploads.insert_block(tx, self.id, self.block_count, content))
        self.block_count, self._buffer_bytes = self.block_count + 1, 0

    def _check_seen(self, exists: bool) -> None:
        if not exists:
            raise Unavailable("the upload took too long and was abandoned")
        self._seen_at = time.monotonic()

    def discard(self) -> None:
        try:
            with self._database.transaction() as tx:
                # Once it has become an import there is no upload any more, and the blocks must be kept.
                if uploads.delete_upload(tx, self.id):
                    uploads.delete_blocks(tx, self.id)
        except Problem as problem:
            log.warning("upload.not_discarded", upload=self.id, reason=problem.detail)
