"""Uploads that are under way, and the pieces of files."""

import io
import struct
from typing import Any

from chassis.db import Transaction

# COPY's binary format: a signature, no flags, no extension; a row is its number of fields, then each with its length.
_HEAD = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
_TAIL = struct.pack("!h", -1)
_BEFORE_CONTENT = len(_HEAD) + struct.calcsize("!hi")


def insert_upload(tx: Transaction, upload_id: str, username: str, key: str | None) -> bool:
    """False where another with the same key is under way."""
    inserted = tx.run(
        """
        INSERT INTO uploads (id, username, idempotency_key) VALUES (%(id)s, %(username)s, %(key)s)
        ON CONFLICT ON CONSTRAINT uploads_key DO NOTHING
        """,
        id=upload_id,
        username=username,
        key=key,
    )
    return inserted == 1


def touch_upload(tx: Transaction, upload_id: str) -> bool:
    """Still heard of. False where it was given up."""
    return tx.run("UPDATE uploads SET seen_at = now() WHERE id = %(id)s", id=upload_id) == 1


def delete_upload(tx: Transaction, upload_id: str) -> bool:
    return tx.run("DELETE FROM uploads WHERE id = %(id)s", id=upload_id) == 1


def delete_silent_uploads(tx: Transaction, silent_seconds: int) -> int:
    return tx.run(
        "DELETE FROM uploads WHERE seen_at < now() - make_interval(secs => %(silent)s)", silent=silent_seconds
    )


def insert_block(tx: Transaction, import_id: bytes, number: int, content: bytes) -> None:
    row = struct.pack("!hi16siii", 3, 16, import_id, 4, number, len(content))
    tx.copy_in(
        "COPY blocks (import_id, number, content) FROM STDIN (FORMAT binary)",
        io.BytesIO(b"".join((_HEAD, row, content, _TAIL))),
    )


def get_block(tx: Transaction, import_id: str, number: int) -> bytes:
    target = io.BytesIO()
    tx.copy_out(
        "COPY (SELECT content FROM blocks WHERE import_id = %(id)s AND number = %(number)s) TO STDOUT (FORMAT binary)",
        target,
        id=import_id,
        number=number,
    )
    content = target.getvalue()[_BEFORE_CONTENT : -len(_TAIL)]
    return content


def delete_blocks(tx: Transaction, import_id: str, first: int = 0, end: int = 2**31 - 1) -> int:
    return tx.run(
        "DELETE FROM blocks WHERE import_id = %(id)s AND number >= %(first)s AND number < %(end)s",
        id=import_id,
        first=first,
        end=end,
    )


def delete_blocks_of_nobody(tx: Transaction, most: int) -> int:
    """Of uploads that were given up and of imports that have ended, no more than so many at a time."""
    return tx.run(
        """
        DELETE FROM blocks WHERE (import_id, number) IN (
            SELECT import_id, number FROM blocks
            WHERE NOT EXISTS (SELECT FROM uploads WHERE uploads.id = import_id)
              AND NOT EXISTS (
                  SELECT FROM imports WHERE imports.id = import_id AND imports.status IN ('PENDING', 'PROGRESS'))
            LIMIT %(most)s
        )
        """,
        most=most,
    )


def count_blocks(tx: Transaction, import_id: str) -> Any:
    return tx.value("SELECT count(*) FROM blocks WHERE import_id = %(id)s", id=import_id)
