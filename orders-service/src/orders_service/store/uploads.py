"""Uploads that are under way, and the pieces of files."""

from chassis.db import Transaction
from orders_service.store import pieces


def insert_upload(tx: Transaction, upload_id: str) -> None:
    tx.run("INSERT INTO uploads (id) VALUES (%(id)s)", id=upload_id)


def hold_key(tx: Transaction, username: str, key: str) -> bool:
    """As long as the connection lives, outside of any transaction. False where another one holds it."""
    # Postgres finds out within half a minute that a machine has gone without a word.
    tx.run("SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4")
    # Not the lock of chassis.idempotency, which is taken beside this one.
    name = f"\x02{username}\x02{key}"
    return bool(tx.value("SELECT pg_try_advisory_lock(hashtextextended(current_schema() || %(name)s, 0))", name=name))


def touch_upload(tx: Transaction, upload_id: str) -> bool:
    """Still heard of. False where it was given up."""
    return tx.run("UPDATE uploads SET seen_at = now() WHERE id = %(id)s", id=upload_id) == 1


def delete_upload(tx: Transaction, upload_id: str) -> bool:
    return tx.run("DELETE FROM uploads WHERE id = %(id)s", id=upload_id) == 1


def delete_silent_uploads(tx: Transaction, silent_seconds: int) -> int:
    return tx.run(
        "DELETE FROM uploads WHERE seen_at < now() - make_interval(secs => %(silent)s)", silent=silent_seconds
    )


def insert_block(tx: Transaction, import_id: str, number: int, content: bytes) -> None:
    pieces.insert(tx, "blocks", import_id, number, content)


def get_block(tx: Transaction, import_id: str, number: int) -> bytes:
    return pieces.get(tx, "blocks", import_id, number)


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
