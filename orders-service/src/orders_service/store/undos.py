"""Undoing imports: which orders they created, and which of them are left to delete."""

from datetime import datetime
from typing import Any

from chassis.db import Transaction


def update_created(tx: Transaction, import_id: str, count: int, first_id: int, last_id: int) -> None:
    """Add `count` created orders, with IDs in this range."""
    tx.run(
        """
        UPDATE imports SET created = created + %(count)s,
                           first_id = least(first_id, %(first_id)s), last_id = greatest(last_id, %(last_id)s)
        WHERE id = %(id)s
        """,
        id=import_id,
        count=count,
        first_id=first_id,
        last_id=last_id,
    )


def lock_undo(tx: Transaction, import_id: str) -> dict[str, Any] | None:
    """Lock the import and return its undo; `undo_status` is None if none was requested."""
    return tx.find(
        """
        SELECT number, status, dry_run, undo_status, undo_request_id,
               coalesce(undo_next_id, first_id) AS next_id, last_id,
               created + updated = valid + invalid AS has_known_orders
        FROM imports WHERE id = %(id)s FOR UPDATE
        """,
        id=import_id,
    )


def update_undo_requested(tx: Transaction, import_id: str, request_id: str, now: datetime) -> None:
    tx.run(
        """
        UPDATE imports SET undo_status = 'PENDING', undo_request_id = %(request_id)s, undo_requested_at = %(now)s
        WHERE id = %(id)s
        """,
        id=import_id,
        request_id=request_id,
        now=now,
    )


def update_undo_progress(tx: Transaction, import_id: str, deleted: int, next_id: int) -> None:
    tx.run(
        """
        UPDATE imports SET undo_status = 'PROGRESS', undo_deleted = undo_deleted + %(deleted)s,
                           undo_next_id = %(next_id)s
        WHERE id = %(id)s
        """,
        id=import_id,
        deleted=deleted,
        next_id=next_id,
    )


def update_undo_finished(tx: Transaction, import_id: str, deleted: int, now: datetime) -> dict[str, Any]:
    """Mark the undo as finished; return the payload of its event."""
    return tx.one(
        """
        UPDATE imports SET undo_status = 'SUCCESS', undo_deleted = undo_deleted + %(deleted)s,
                           undo_finished_at = %(now)s
        WHERE id = %(id)s
        RETURNING id::text AS task_id, batch_no, file_name, undo_deleted AS deleted, updated AS not_restored
        """,
        id=import_id,
        deleted=deleted,
        now=now,
    )
