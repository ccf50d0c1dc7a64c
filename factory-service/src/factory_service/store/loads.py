"""Files that are being loaded: their bytes as they came, and how far each is."""

from typing import Any

from chassis import strictjson
from chassis.db import Transaction

_COUNTS = "factories, sprockets, points, skipped"


def insert_load(tx: Transaction, id_: str, request_id: str) -> None:
    tx.run("INSERT INTO loads (id, request_id) VALUES (%(id)s, %(request_id)s)", id=id_, request_id=request_id)


def insert_chunk(tx: Transaction, id_: str, number: int, content: bytes) -> None:
    tx.run(
        "INSERT INTO load_chunks (load_id, number, content) VALUES (%(id)s, %(number)s, %(content)s)",
        id=id_,
        number=number,
        content=content,
    )


def accept_load(tx: Transaction, id_: str, size_bytes: int) -> bool:
    """False where it was taken away meanwhile, as one that nobody goes on with."""
    return (
        tx.run(
            "UPDATE loads SET status = 'PENDING', size_bytes = %(size)s WHERE id = %(id)s AND status = 'UPLOADING'",
            id=id_,
            size=size_bytes,
        )
        == 1
    )


def delete_load(tx: Transaction, id_: str) -> None:
    tx.run("DELETE FROM loads WHERE id = %(id)s", id=id_)


def delete_abandoned(tx: Transaction, after_seconds: float) -> None:
    """Delete uploads whose client or process died on the way. `after_seconds` must exceed what an upload may take."""
    tx.run(
        """
        DELETE FROM loads
        WHERE status = 'UPLOADING' AND created_at < now() - make_interval(secs => %(after_seconds)s)
        """,
        after_seconds=after_seconds,
    )


def find_load(tx: Transaction, id_: str) -> dict[str, Any] | None:
    return tx.find(
        f"""
        SELECT id::text, status, size_bytes, {_COUNTS}, error FROM loads
        WHERE id = %(id)s AND status <> 'UPLOADING'
        """,
        id=id_,
    )


def lock_load(tx: Transaction, id_: str) -> dict[str, Any] | None:
    """None where it is done with, or is another worker's at this moment."""
    return tx.find(
        """
        SELECT status, reader::text AS reader, next_chunk, next_entry, next_part, request_id FROM loads
        WHERE id = %(id)s AND status IN ('PENDING', 'PROGRESS') FOR UPDATE
        """,
        id=id_,
    )


def find_chunk(tx: Transaction, id_: str, number: int) -> bytes | None:
    content = tx.value(
        "SELECT content FROM load_chunks WHERE load_id = %(id)s AND number = %(number)s", id=id_, number=number
    )
    return None if content is None else bytes(content)


def keep_reader(tx: Transaction, id_: str, reader: dict[str, Any], next_chunk: int) -> None:
    tx.run(
        """
        UPDATE loads SET status = 'PROGRESS', reader = %(reader)s, next_chunk = %(next_chunk)s WHERE id = %(id)s
        """,
        id=id_,
        reader=strictjson.dumps(reader),
        next_chunk=next_chunk,
    )


def keep_progress(tx: Transaction, id_: str, next_entry: int, next_part: int, **more: int) -> None:
    counts = {name: more.get(name, 0) for name in _COUNTS.split(", ")}
    tx.run(
        """
        UPDATE loads SET next_entry = %(next_entry)s, next_part = %(next_part)s,
               factories = factories + %(factories)s, sprockets = sprockets + %(sprockets)s,
               points = points + %(points)s, skipped = skipped + %(skipped)s
        WHERE id = %(id)s
        """,
        id=id_,
        next_entry=next_entry,
        next_part=next_part,
        **counts,
    )


def finish_load(tx: Transaction, id_: str, error: str | None) -> dict[str, Any]:
    """What it has come to. What it was made of is not needed any more."""
    for table in ("load_chunks", "load_parts", "load_entries", "load_equals"):
        tx.run(f"DELETE FROM {table} WHERE load_id = %(id)s", id=id_)
    return tx.one(
        f"""
        UPDATE loads SET status = %(status)s, error = %(error)s, reader = '{{}}' WHERE id = %(id)s
        RETURNING id::text, {_COUNTS}
        """,
        id=id_,
        status="FAILURE" if error else "SUCCESS",
        error=error,
    )
