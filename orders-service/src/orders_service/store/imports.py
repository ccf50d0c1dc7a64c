"""Imports: their status, position and header."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from chassis import strictjson
from chassis.db import Transaction, stored_uploads
from orders_service.domain.encodings import UTF_8, DecoderState
from orders_service.domain.headers import Header
from orders_service.domain.imports import FileCursor, FileFormat, Import
from orders_service.domain.sheets import SheetPosition

_STATUS_COLUMNS = """
    id::text AS task_id, batch_no, file_name, dry_run, may_update, status,
    valid + invalid + duplicates + rejected AS current, total, valid, invalid, updated, duplicates, rejected,
    started_at, finished_at, reason, reason_names, hint, ignored_columns,
    undo_status, undo_deleted, undo_requested_at, undo_finished_at,
    extract(epoch FROM coalesce(finished_at, now()) - started_at)::float AS seconds
"""


def insert_import(tx: Transaction, **values: object) -> None:
    tx.run(
        """
        INSERT INTO imports (id, username, request_id, file_name, dry_run, may_update, batch_no, uploaded_at, total,
                             blocks, is_workbook, encoding, column_mapping, date_format)
        VALUES (%(id)s, %(username)s, %(request_id)s, %(file_name)s, %(dry_run)s, %(may_update)s, %(batch_no)s,
                %(now)s, %(total)s, %(chunk_count)s, %(is_workbook)s, %(encoding)s, %(column_mapping)s,
                %(date_format)s)
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
               column_names, is_workbook, sheet_offset, sheet_row, sheet_text_length,
               encoding, column_mapping, date_format, detected_encoding, has_returns,
               line, rest, skipping, state_before, zipcode_before, undecoded, decoder_mode
        FROM imports WHERE id = %(id)s FOR UPDATE
        """,
        id=import_id,
    )
    if row is None:
        return None
    header = _header(row.pop("separator"), row.pop("columns"), row.pop("column_names"))
    state, zipcode = row.pop("state_before"), row.pop("zipcode_before")
    previous = None if state is None else (bytes(state), bytes(zipcode))
    undecoded, mode = row.pop("undecoded"), row.pop("decoder_mode")
    decoder = DecoderState(bytes(undecoded), None if mode is None else int(mode))
    cursor = FileCursor(row.pop("line"), bytes(row.pop("rest")), row.pop("skipping"), previous, decoder)
    file_format = FileFormat(
        row.pop("encoding"),
        strictjson.loads((row.pop("column_mapping") or "{}").encode()),
        row.pop("date_format"),
        # Imports of the previous version have none.
        row.pop("detected_encoding") or UTF_8,
        row.pop("has_returns"),
    )
    sheet_position = SheetPosition(row.pop("sheet_offset"), row.pop("sheet_row"), row.pop("sheet_text_length"))
    return Import(**row, sheet_position=sheet_position, file_format=file_format, header=header, cursor=cursor)


def _header(separator: str | None, columns: str | None, column_names: str | None) -> Header | None:
    """Return the stored header, None if it has not been read yet."""
    if separator is None or columns is None:
        return None
    names, written = (tuple(strictjson.loads((json or "[]").encode())) for json in (columns, column_names))
    return Header(separator, names, written)


def update_header(
    tx: Transaction, import_id: str, header: Header, encoding: str, has_returns: bool, hint: str | None, now: datetime
) -> None:
    tx.run(
        """
        UPDATE imports SET
            status = 'PROGRESS', started_at = %(now)s, separator = %(separator)s, columns = %(columns)s,
            column_names = %(names)s, ignored_columns = %(ignored_columns)s, detected_encoding = %(encoding)s,
            has_returns = %(has_returns)s, hint = %(hint)s
        WHERE id = %(id)s
        """,
        id=import_id,
        separator=header.separator,
        columns=strictjson.dumps(header.columns),
        names=strictjson.dumps(header.names),
        ignored_columns=strictjson.dumps(header.ignored_columns),
        encoding=encoding,
        has_returns=has_returns,
        hint=hint,
        now=now,
    )


def update_progress(
    tx: Transaction,
    import_id: str,
    next_chunk: int,
    sheet_position: SheetPosition,
    cursor: FileCursor,
    outcomes: Mapping[str, int],
) -> None:
    state, zipcode = cursor.previous or (None, None)
    tx.run(
        """
        UPDATE imports SET
            valid = valid + %(valid)s, invalid = invalid + %(invalid)s, updated = updated + %(updated)s,
            duplicates = duplicates + %(duplicates)s, rejected = rejected + %(rejected)s,
            next_block = %(next_chunk)s, line = %(line)s, rest = %(rest)s, skipping = %(is_skipping)s,
            state_before = %(state)s, zipcode_before = %(zipcode)s,
            undecoded = %(undecoded)s, decoder_mode = %(decoder_mode)s,
            sheet_offset = %(offset)s, sheet_row = %(row)s, sheet_text_length = %(text_length)s,
            total = CASE WHEN is_workbook THEN greatest(%(row)s - 1, 0) ELSE total END
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
        undecoded=cursor.decoder.pending,
        decoder_mode=cursor.decoder.mode,
        **asdict(sheet_position),
    )


def update_slice(tx: Transaction, import_id: str, slice_: int) -> None:
    tx.run("UPDATE imports SET turn = %(slice)s WHERE id = %(id)s", id=import_id, slice=slice_)


def update_ended(tx: Transaction, import_id: str, **values: object) -> dict[str, Any]:
    """Mark the import as ended; after a success, the total is the number of counted rows. Return its status."""
    return tx.one(
        f"""
        UPDATE imports SET
            status = %(status)s, reason = %(reason)s, reason_names = %(names)s, hint = coalesce(%(hint)s, hint),
            rest = '', undecoded = '', next_block = blocks,
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


def find_header(tx: Transaction, import_id: str) -> tuple[Header | None, str] | None:
    """Return the header, if it has been read, and the encoding of the file; None if the import does not exist."""
    row = tx.find(
        "SELECT separator, columns, column_names, detected_encoding FROM imports WHERE id = %(id)s", id=import_id
    )
    return None if row is None else (_header(*list(row.values())[:3]), row["detected_encoding"] or UTF_8)
