"""Uploads of one web process: pieces of files go into Postgres while they arrive, a few files at a time."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

from chassis import logs
from chassis.db import Database, Transaction, connect, told_as_problems
from chassis.errors import Conflict, Problem, Unavailable
from orders_service.settings import Settings
from orders_service.store import uploads

log = logs.logger(__name__)

BLOCK_BYTES = 1024 * 1024
_SIGN_OF_LIFE_SECONDS = 10
_KEY_FREE_WITHIN_SECONDS = 3
_LOOK_AGAIN_SECONDS = 0.05
_BUSY = "too many uploads are under way; try again later"
_UNDER_WAY = "a request with this Idempotency-Key is still under way; try again when it is done"


class Receiver:
    """No more uploads at once than leave threads for other requests."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings
        self._slots = threading.Semaphore(settings.uploads_at_once)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Raises Unavailable at once where there is none."""
        if not self._slots.acquire(blocking=False):
            raise Unavailable(_BUSY, retry_after_seconds=5)
        try:
            yield
        finally:
            self._slots.release()

    @contextmanager
    def receiving(self, username: str, key: str | None) -> Iterator["Sink"]:
        """Whatever ends it before it became an import, nothing of it stays.

        A process that is killed cannot see to that; the worker does, when nothing was heard of the upload for a while.
        """
        with self._holding(username, key):
            sink = Sink(self.database)
            try:
                yield sink
            except BaseException:
                sink.discard()
                raise

    @contextmanager
    def _holding(self, username: str, key: str | None) -> Iterator[None]:
        """The key, by a connection of its own, so that it is free as soon as this process is dead.

        Raises Conflict where another upload has it, and still has it after a moment: who sends again because the
        connection broke is quicker than that upload's end.
        """
        if key is None:
            yield
            return
        with closing(connect(self.settings.database_url, name="orders-upload", autocommit=True)) as connection:
            until = time.monotonic() + _KEY_FREE_WITHIN_SECONDS
            with told_as_problems():
                while not uploads.hold_key(Transaction(connection), username, key):
                    if time.monotonic() > until:
                        raise Conflict(_UNDER_WAY)
                    time.sleep(_LOOK_AGAIN_SECONDS)
            yield


class Sink:
    """Pieces of one file, gathered into blocks; each block is a short transaction, however slow the client is."""

    def __init__(self, database: Database) -> None:
        self.id = str(uuid.uuid4())
        self._database = database
        self._gathered: list[bytes] = []
        self._size = 0
        self._last_byte = b"\n"
        self._seen_at = time.monotonic()
        self.blocks = self.lines = 0
        with database.transaction() as tx:
            uploads.insert_upload(tx, self.id)

    def write(self, piece: bytes) -> None:
        self._gathered.append(piece)
        self._size += len(piece)
        self.lines += piece.count(b"\n")
        self._last_byte = piece[-1:]
        if self._size >= BLOCK_BYTES:
            self._store()
        elif time.monotonic() - self._seen_at > _SIGN_OF_LIFE_SECONDS:
            with self._database.transaction() as tx:
                self._touch(tx)

    def finish(self) -> None:
        if self._gathered:
            self._store()
        self.lines += self._last_byte != b"\n"

    @property
    def rows(self) -> int:
        """As far as lines tell: the header is none."""
        return max(self.lines - 1, 0)

    def _store(self) -> None:
        content = b"".join(self._gathered)
        self._gathered.clear()
        with self._database.transaction() as tx:
            self._touch(tx)
            uploads.insert_block(tx, self.id, self.blocks, content)
        self.blocks, self._size = self.blocks + 1, 0

    def _touch(self, tx: Transaction) -> None:
        if not uploads.touch_upload(tx, self.id):
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
