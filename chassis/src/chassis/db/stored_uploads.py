"""Uploaded files, stored in chunks while they are received and kept until the service deletes them.

The row of a file in `open_uploads` exists only while its process receives it. If the process is killed, a timer of the
service deletes the file; once the service has accepted the file, only the service does.
"""

import threading
import uuid
from typing import Self

from chassis.db.transaction import Database, Transaction
from chassis.errors import Problem, Unavailable
from chassis.runtime import logs

log = logs.logger(__name__)

# Each upload in progress buffers at most one chunk.
CHUNK_BYTES = 256 * 1024
_HEARTBEAT_SECONDS = 10.0
_ABANDONED_AFTER_SECONDS = 120
_MAX_DELETED_CHUNKS = 800


class UploadWriter:
    """Writer of a file that is being received, and a context manager that deletes the file unless it was accepted.

    Each chunk is stored with a separate statement, so that a slow client keeps no connection to Postgres.
    """

    def __init__(self, database: Database) -> None:
        self.id = str(uuid.uuid4())
        self.chunk_count = self.size_bytes = 0
        self._database = database
        self._buffer = bytearray()
        self._is_accepted = False
        self._is_closed = threading.Event()
        self._heartbeat = threading.Thread(target=self._send_heartbeats, daemon=True)

    def __enter__(self) -> Self:
        with self._database.statements() as tx:
            tx.run("INSERT INTO open_uploads (id) VALUES (%(id)s)", id=self.id)
        self._heartbeat.start()
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self._is_closed.set()
        self._heartbeat.join()
        if error_type is not None or not self._is_accepted:
            self._discard()

    def write(self, data: bytes) -> None:
        """Store the data, at the latest with `finish`; raise Unavailable if the upload was abandoned."""
        self._buffer += data
        self.size_bytes += len(data)
        if len(self._buffer) >= CHUNK_BYTES:
            self._store_chunk()

    def finish(self) -> None:
        if self._buffer:
            self._store_chunk()

    def accept(self, tx: Transaction) -> None:
        """Keep the file if `tx` commits; raise Unavailable if the upload was abandoned."""
        _require_open(tx.run("DELETE FROM open_uploads WHERE id = %(id)s", id=self.id))
        self._is_accepted = True

    def _store_chunk(self) -> None:
        with self._database.statements() as tx:
            stored = tx.run(
                """
                WITH upload AS (UPDATE open_uploads SET seen_at = now() WHERE id = %(id)s RETURNING id)
                INSERT INTO upload_chunks (upload_id, number, content) SELECT id, %(number)s, %(content)s FROM upload
                """,
                id=self.id,
                number=self.chunk_count,
                content=bytes(self._buffer),
            )
        _require_open(stored)
        self.chunk_count += 1
        self._buffer.clear()

    def _send_heartbeats(self) -> None:
        """Report that the process still receives the file, even while its client sends nothing."""
        while not self._is_closed.wait(_HEARTBEAT_SECONDS):
            try:
                with self._database.statements() as tx:
                    tx.run("UPDATE open_uploads SET seen_at = now() WHERE id = %(id)s", id=self.id)
            except Problem as problem:
                log.warning("upload.heartbeat_failed", upload=self.id, reason=problem.detail)

    def _discard(self) -> None:
        try:
            with self._database.transaction() as tx:
                # Without the row, the file was accepted although the commit reported an error, and must be kept.
                if tx.run("DELETE FROM open_uploads WHERE id = %(id)s", id=self.id):
                    delete_chunks(tx, self.id)
        except Problem as problem:
            log.warning("upload.not_discarded", upload=self.id, reason=problem.detail)


def _require_open(row_count: int) -> None:
    if row_count == 0:
        raise Unavailable("the upload took too long and was abandoned")


def get_chunks(tx: Transaction, upload_id: str, first: int, end: int) -> bytes:
    """Return the content of the chunks from `first` up to but not including `end`, b"" if there are none."""
    rows = tx.rows(
        """
        SELECT content FROM upload_chunks
        WHERE upload_id = %(id)s AND number >= %(first)s AND number < %(end)s ORDER BY number
        """,
        id=upload_id,
        first=first,
        end=end,
    )
    return b"".join(bytes(content) for (content,) in rows)


def list_chunk_sizes(tx: Transaction, upload_id: str) -> list[int]:
    """Return the sizes of all chunks, which Postgres knows without reading them."""
    rows = tx.rows(
        "SELECT octet_length(content) FROM upload_chunks WHERE upload_id = %(id)s ORDER BY number", id=upload_id
    )
    return [size for (size,) in rows]


def delete_chunks(tx: Transaction, upload_id: str, first: int = 0, end: int = 2**31 - 1) -> None:
    tx.run(
        "DELETE FROM upload_chunks WHERE upload_id = %(id)s AND number >= %(first)s AND number < %(end)s",
        id=upload_id,
        first=first,
        end=end,
    )


def delete_stale_uploads(tx: Transaction, is_in_use: str) -> None:
    """Delete uploads whose process no longer reports them, and a limited number of chunks that are not needed.

    `is_in_use` is an SQL condition on `upload_id`, which holds for the accepted files that the service still needs.
    """
    tx.run(
        "DELETE FROM open_uploads WHERE seen_at < now() - make_interval(secs => %(timeout)s)",
        timeout=_ABANDONED_AFTER_SECONDS,
    )
    tx.run(
        f"""
        DELETE FROM upload_chunks WHERE (upload_id, number) IN (
            SELECT upload_id, number FROM upload_chunks
            WHERE NOT EXISTS (SELECT FROM open_uploads WHERE open_uploads.id = upload_id) AND NOT ({is_in_use})
            LIMIT %(max_rows)s
        )
        """,
        max_rows=_MAX_DELETED_CHUNKS,
    )
