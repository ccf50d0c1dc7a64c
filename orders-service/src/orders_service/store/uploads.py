"""Uploads in progress, and the blocks of uploaded files."""

from chassis.db import Transaction


def insert_upload(tx: Transaction, upload_id: str) -> None:
    tx.run("INSERT INTO uploads (id) VALUES (%(id)s)", id=upload_id)


def claim_key(tx: Transaction, username: str, key: str) -> bool:
    """Lock the key until `release_key` or the end of the connection; return False if another connection holds it."""
    return bool(tx.value(f"SELECT pg_try_advisory_lock({_KEY})", name=_lock_name(username, key)))


def release_key(tx: Transaction, username: str, key: str) -> None:
    tx.value(f"SELECT pg_advisory_unlock({_KEY})", name=_lock_name(username, key))


_KEY = "hashtextextended(current_schema() || %(name)s, 0)"


def _lock_name(username: str, key: str) -> str:
    """Return a name that differs from that of the lock of chassis.web.idempotency, which is also acquired."""
    return f"\x02{username}\x02{key}"


def update_seen_at(tx: Transaction, upload_id: str) -> bool:
    """Record that data still arrives; return False if the upload was abandoned."""
    return tx.run("UPDATE uploads SET seen_at = now() WHERE id = %(id)s", id=upload_id) == 1


def delete_upload(tx: Transaction, upload_id: str) -> bool:
    return tx.run("DELETE FROM uploads WHERE id = %(id)s", id=upload_id) == 1


def delete_abandoned_uploads(tx: Transaction, timeout_seconds: int) -> int:
    return tx.run(
        "DELETE FROM uploads WHERE seen_at < now() - make_interval(secs => %(timeout)s)", timeout=timeout_seconds
    )


def insert_block(tx: Transaction, upload_id: str, number: int, content: bytes) -> bool:
    """Insert the block and update the upload in one statement; return False if the upload was abandoned."""
    inserted = tx.run(
        """
        WITH upload AS (UPDATE uploads SET seen_at = now() WHERE id = %(id)s RETURNING id)
        INSERT INTO blocks (import_id, number, content) SELECT id, %(number)s, %(content)s FROM upload
        """,
        id=upload_id,
        number=number,
        content=content,
    )
    return inserted == 1


def get_blocks(tx: Transaction, import_id: str, first: int, end: int) -> bytes:
    """Return the content of the blocks from `first` up to but not including `end`."""
    rows = tx.rows(
        """
        SELECT content FROM blocks WHERE import_id = %(id)s AND number >= %(first)s AND number < %(end)s
        ORDER BY number
        """,
        id=import_id,
        first=first,
        end=end,
    )
    return b"".join(bytes(content) for (content,) in rows)


def delete_blocks(tx: Transaction, import_id: str, first: int = 0, end: int = 2**31 - 1) -> int:
    return tx.run(
        "DELETE FROM blocks WHERE import_id = %(id)s AND number >= %(first)s AND number < %(end)s",
        id=import_id,
        first=first,
        end=end,
    )


def delete_orphaned_blocks(tx: Transaction, max_rows: int) -> int:
    """Delete up to `max_rows` blocks of abandoned uploads and of imports that have ended."""
    return tx.run(
        """
        DELETE FROM blocks WHERE (import_id, number) IN (
            SELECT import_id, number FROM blocks
            WHERE NOT EXISTS (SELECT FROM uploads WHERE uploads.id = import_id)
              AND NOT EXISTS (
                  SELECT FROM imports WHERE imports.id = import_id AND imports.status IN ('PENDING', 'PROGRESS'))
            LIMIT %(max_rows)s
        )
        """,
        max_rows=max_rows,
    )
