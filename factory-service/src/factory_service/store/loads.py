"""Loads of uploaded files: the status and progress of each."""

from typing import Any

from chassis.db import Transaction, stored_uploads

_COUNTS = "factories, sprockets, points, skipped"


def insert_load(
    tx: Transaction,
    id_: str,
    size_bytes: int,
    request_id: str,
    *,
    production_factory_id: int | None = None,
    send_number: int | None = None,
) -> None:
    """Insert a load of factories or sprockets, or of production of one factory, which has a send number."""
    tx.run(
        """
        INSERT INTO loads (id, status, size_bytes, request_id, production_factory_id, sent)
        VALUES (%(id)s, 'PENDING', %(size)s, %(request_id)s, %(factory)s, %(sent)s)
        """,
        id=id_,
        size=size_bytes,
        request_id=request_id,
        factory=production_factory_id,
        sent=send_number,
    )


def delete_stale_uploads(tx: Transaction, uploading_seconds: float) -> None:
    """Delete the data of interrupted uploads.

    Processes of the previous version insert a load before its upload; it is deleted after `uploading_seconds`, which
    must exceed the longest time that an upload may take.
    """
    tx.run(
        """
        DELETE FROM loads
        WHERE status = 'UPLOADING' AND created_at < now() - make_interval(secs => %(uploading_seconds)s)
        """,
        uploading_seconds=uploading_seconds,
    )
    stored_uploads.delete_stale_uploads(
        tx, "EXISTS (SELECT FROM loads WHERE id = upload_id AND status IN ('UPLOADING', 'PENDING', 'PROGRESS'))"
    )


def find_load(tx: Transaction, id_: str) -> dict[str, Any] | None:
    return tx.find(
        f"""
        SELECT id::text, status, size_bytes, {_COUNTS}, error FROM loads
        WHERE id = %(id)s AND status <> 'UPLOADING'
        """,
        id=id_,
    )


def lock_load(tx: Transaction, id_: str, entry: int | None = None) -> dict[str, Any] | None:
    """Lock a load that has not ended; None if it has.

    Also None if `entry` is not its next entry, which means that another worker has loaded that entry.
    """
    return tx.find(
        """
        SELECT next_entry, factory_id, request_id, production_factory_id, sent FROM loads
        WHERE id = %(id)s AND status IN ('PENDING', 'PROGRESS') AND (%(entry)s IS NULL OR next_entry = %(entry)s)
        FOR UPDATE
        """,
        id=id_,
        entry=entry,
    )


def begin_load(tx: Transaction, id_: str) -> int | None:
    """Return the number of the next entry, which is not 0 after a crash; None if the load has ended."""
    next_entry: int | None = tx.value(
        """
        UPDATE loads SET status = 'PROGRESS' WHERE id = %(id)s AND status IN ('PENDING', 'PROGRESS')
        RETURNING next_entry
        """,
        id=id_,
    )
    return next_entry


def update_factory_id(tx: Transaction, id_: str, factory_id: int) -> None:
    tx.run("UPDATE loads SET factory_id = %(factory)s WHERE id = %(id)s", id=id_, factory=factory_id)


def update_progress(tx: Transaction, id_: str, next_entry: int, **added: int) -> None:
    counts = {name: added.get(name, 0) for name in _COUNTS.split(", ")}
    tx.run(
        """
        UPDATE loads SET next_entry = %(next_entry)s, factory_id = NULL,
               factories = factories + %(factories)s, sprockets = sprockets + %(sprockets)s,
               points = points + %(points)s, skipped = skipped + %(skipped)s
        WHERE id = %(id)s
        """,
        id=id_,
        next_entry=next_entry,
        **counts,
    )


def finish_load(tx: Transaction, id_: str, error: str | None) -> dict[str, Any]:
    """Delete the file, set the final status, and return the counts."""
    stored_uploads.delete_chunks(tx, id_)
    tx.run("DELETE FROM load_ordinals WHERE load_id = %(id)s", id=id_)
    return tx.one(
        f"""
        UPDATE loads SET status = %(status)s, error = %(error)s WHERE id = %(id)s
        RETURNING id::text, {_COUNTS}
        """,
        id=id_,
        status="FAILURE" if error else "SUCCESS",
        error=error,
    )
