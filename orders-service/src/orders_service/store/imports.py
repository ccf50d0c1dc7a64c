"""Imports: their status, position, header and error reports."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chassis import strictjson
from chassis.db import Transaction, stored_uploads
from orders_service.domain.headers import Header
from orders_service.domain.imports import FileCursor, Import

_STATUS_COLUMNS = """
    id::text AS task_id, batch_no, file_name, dry_run, may_update, status,
    valid + invalid + duplicates + rejected AS current, total, valid, invalid, updated, duplicates, rejected,
    started_at, finished_at, reason, reason_names, undo_status, undo_deleted, undo_requested_at, undo_finished_at,
    extract(epoch FROM coalesce(finished_at, now()) - started_at)::float AS seconds
"""


def insert_import(tx: Transaction, **values: object) -> None:
    tx.run(
        """
        INSERT INTO imports (id, username, request_id, file_name, dry_run, may_update, batch_no, uploaded_at, total,
                             blocks)
        VALUES (%(id)s, %(username)s, %(request_id)s, %(file_name)s, %(dry_run)s, %(may_update)s, %(batch_no)s,
                %(now)s, %(total)s, %(chunk_count)s)
        """,
        **values,
    )


def find_status(tx: Transaction, import_id: str) -> dict[str, Any] | None:
    return tx.find(f"SELECT {_STATUS_COLUMNS} FROM imports WHERE id = %(id)s", id=import_id)


def list_statuses(tx: Transaction, limit: int, offset: int) -> list[dict[str, Any]]:
    """Return a page of the statuses, newest first."""
    return tx.all(
        f"SELECT {_STATUS_COLUMNS} FROM imports ORDER BY number DESC LIMIT %(limit)s OFFSET %(offset)s",
        limit=limit,
        offset=offset,
    )


def count_imports(tx: Transaction) -> int:
    return int(tx.value("SELECT count(*) FROM imports"))


def lock_import(tx: Transaction, import_id: str) -> Import | None:
    row = tx.find(
        """
        SELECT id::text AS id, number, request_id, dry_run, may_update, status, cancelled AS is_cancelled,
               turn AS slice, uploaded_at, blocks AS chunk_count, next_block AS next_chunk, separator, columns,
               line, rest, skipping, state_before, zipcode_before
        FROM imports WHERE id = %(id)s FOR UPDATE
        """,
        id=import_id,
    )
    if row is None:
        return None
    header = _header(row.pop("separator"), row.pop("columns"))
    state, zipcode = row.pop("state_before"), row.pop("zipcode_before")
    previous = None if state is None else (bytes(state), bytes(zipcode))
    cursor = FileCursor(row.pop("line"), bytes(row.pop("rest")), row.pop("skipping"), previous)
    return Import(**row, header=header, cursor=cursor)


def _header(separator: str | None, columns: str | None) -> Header | None:
    """Return the stored header, None if it has not been read yet."""
    if separator is None or columns is None:
        return None
    return Header(separator, tuple(strictjson.loads(columns.encode())))


def update_header(tx: Transaction, import_id: str, header: Header, now: datetime) -> None:
    tx.run(
        """
        UPDATE imports SET status = 'PROGRESS', started_at = %(now)s, separator = %(separator)s, columns = %(columns)s
        WHERE id = %(id)s
        """,
        id=import_id,
        separator=header.separator,
        columns=strictjson.dumps(header.columns),
        now=now,
    )


def update_progress(
    tx: Transaction, import_id: str, next_chunk: int, cursor: FileCursor, outcomes: Mapping[str, int]
) -> None:
    state, zipcode = cursor.previous or (None, None)
    tx.run(
        """
        UPDATE imports SET
            valid = valid + %(valid)s, invalid = invalid + %(invalid)s, updated = updated + %(updated)s,
            duplicates = duplicates + %(duplicates)s, rejected = rejected + %(rejected)s,
            next_block = %(next_chunk)s, line = %(line)s, rest = %(rest)s, skipping = %(is_skipping)s,
            state_before = %(state)s, zipcode_before = %(zipcode)s
        WHERE id = %(id)s
        """,
        id=import_id,
        **{name: outcomes.get(name, 0) for name in ("valid", "invalid", "updated", "duplicates", "rejected")},
        next_chunk=next_chunk,
        line=cursor.line,
        rest=cursor.rest,
        is_skipping=cursor.is_skipping,
        state=state,
        zipcode=zipcode,
    )


def update_slice(tx: Transaction, import_id: str, slice_: int) -> None:
    tx.run("UPDATE imports SET turn = %(slice)s WHERE id = %(id)s", id=import_id, slice=slice_)


def update_ended(tx: Transaction, import_id: str, **values: object) -> dict[str, Any]:
    """Mark the import as ended; after a success, the total is the number of counted rows. Return its status."""
    return tx.one(
        f"""
        UPDATE imports SET
            status = %(status)s, reason = %(reason)s, reason_names = %(names)s, rest = '', next_block = blocks,
            started_at = coalesce(started_at, %(now)s), finished_at = %(now)s,
            total = CASE %(status)s WHEN 'SUCCESS' THEN valid + invalid + duplicates + rejected ELSE total END
        WHERE id = %(id)s
        RETURNING {_STATUS_COLUMNS}
        """,
        id=import_id,
        **values,
    )


def update_cancelled(tx: Transaction, import_id: str) -> bool:
    """Mark the import as cancelled; return False if it has ended or does not exist."""
    updated = tx.run(
        "UPDATE imports SET cancelled = true WHERE id = %(id)s AND status IN ('PENDING', 'PROGRESS')", id=import_id
    )
    return updated == 1


def list_without_batch_no(tx: Transaction, limit: int) -> list[dict[str, Any]]:
    return tx.all(
        "SELECT id::text AS id, request_id FROM imports WHERE batch_no IS NULL ORDER BY number LIMIT %(limit)s",
        limit=limit,
    )


def update_batch_no(tx: Transaction, import_id: str, batch_no: int) -> None:
    tx.run(
        "UPDATE imports SET batch_no = %(batch_no)s WHERE id = %(id)s AND batch_no IS NULL",
        id=import_id,
        batch_no=batch_no,
    )


def delete_stale_uploads(tx: Transaction) -> None:
    """Delete the data of interrupted uploads, and the remaining chunks of imports that have ended."""
    stored_uploads.delete_stale_uploads(
        tx, "EXISTS (SELECT FROM imports WHERE id = upload_id AND status IN ('PENDING', 'PROGRESS'))"
    )


def insert_report_section(tx: Transaction, import_id: str, number: int, content: bytes) -> None:
    """Insert the section that a step adds to the error report.

    Sections are immutable, so that they can be read in several transactions.
    """
    tx.run(
        "INSERT INTO reports (import_id, number, content) VALUES (%(id)s, %(number)s, %(content)s)",
        id=import_id,
        number=number,
        content=content,
    )


def find_next_section_number(tx: Transaction, import_id: str, after: int) -> int | None:
    """Return the lowest number of a section above `after`, None if that was the last one."""
    number: int | None = tx.value(
        "SELECT min(number) FROM reports WHERE import_id = %(id)s AND number > %(after)s", id=import_id, after=after
    )
    return number


def get_section_bytes(tx: Transaction, import_id: str, number: int, start: int, length: int) -> bytes:
    """Return up to `length` bytes of the section from offset `start`, b"" at the end.

    Postgres reads only these bytes, because sections are stored uncompressed.
    """
    return bytes(
        tx.value(
            """
            SELECT substring(content FROM %(start)s + 1 FOR %(length)s) FROM reports
            WHERE import_id = %(id)s AND number = %(number)s
            """,
            id=import_id,
            number=number,
            start=start,
            length=length,
        )
    )


def find_header(tx: Transaction, import_id: str) -> tuple[bool, Header | None]:
    """Return whether the import exists, and its header if that has been read."""
    row = tx.find("SELECT separator, columns FROM imports WHERE id = %(id)s", id=import_id)
    return (False, None) if row is None else (True, _header(**row))
