"""An import in slices of many steps; each step imports some chunks of the file in one transaction."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from chassis import strictjson
from chassis.db import Database, Transaction, stored_uploads
from chassis.messaging import outbox
from orders_service.domain.beginnings import read_beginning
from orders_service.domain.encodings import MAX_MARK_BYTES, DecoderState, detect_encoding, to_utf8
from orders_service.domain.file_hints import describe_invalid_header, suggest_encoding
from orders_service.domain.headers import InvalidHeader
from orders_service.domain.imports import FileCursor, Import
from orders_service.domain.rules import Policy
from orders_service.domain.sheets import InvalidWorkbook
from orders_service.domain.validation import validate_rows
from orders_service.operations.file_reader import FilePart, FileReader, decode_part
from orders_service.operations.order_writer import write_rows
from orders_service.operations.uploading import slice_job
from orders_service.store import imports


def run_slice(
    database: Database,
    import_id: str,
    slice_: int,
    policy: Policy,
    clock: Callable[[], datetime],
    is_time_up: Callable[[int], bool],
) -> dict[str, Any] | None:
    """Continue the import until it ends or its time is up, then request the next slice.

    Return the status of the import if this call has ended it.

    `is_time_up` receives the number of chunks that are left. The process may be killed at any moment and the slice
    may be repeated, also concurrently: each step locks the import and begins where the last committed one ended.
    """
    with database.transaction() as tx:
        import_ = _lock_slice(tx, import_id, slice_)
    if import_ is None:
        return None
    reader, has_more_steps, status = FileReader(database, import_), True, None
    while has_more_steps:
        with database.transaction() as tx:
            import_ = _lock_slice(tx, import_id, slice_)
            has_more_steps = import_ is not None and _run_step(tx, import_, reader, policy, clock(), is_time_up)
            if import_ and not has_more_steps:
                status = imports.find_status(tx, import_id)
    return status if status and status["finished_at"] else None


def _lock_slice(tx: Transaction, import_id: str, slice_: int) -> Import | None:
    """Return the import, or None if it does not exist, has ended, or continues with another slice."""
    import_ = imports.lock_import(tx, import_id)
    return import_ if import_ and import_.is_running and import_.slice == slice_ else None


def _run_step(
    tx: Transaction,
    import_: Import,
    reader: FileReader,
    policy: Policy,
    now: datetime,
    is_time_up: Callable[[int], bool],
) -> bool:
    """Read a part of the file, validate its rows, write them, and save the position of the next step.

    Return whether the slice has more steps.
    """
    if import_.is_cancelled:
        return _end_import(tx, import_, now, "cancelled")
    try:
        part = reader.read_part(tx, import_)
    except InvalidWorkbook as error:
        return _end_import(tx, import_, now, error.reason)
    if import_.header is None:
        return _read_header(tx, import_, part, now)
    text, decoder = decode_part(part, import_)
    validated = validate_rows(
        text,
        import_.header,
        replace(import_.cursor, decoder=decoder),
        policy,
        import_.upload_day,
        at_end=part.is_last,
        date_format=import_.file_format.date_format,
    )
    outcomes = write_rows(tx, import_, import_.header, validated, policy)
    _save_progress(tx, import_, part, validated.cursor, outcomes)
    if part.is_last:
        return _end_import(tx, import_, now)
    if is_time_up(part.chunks_left):
        imports.update_slice(tx, import_.id, import_.slice + 1)
        outbox.add(tx, slice_job(import_.id, import_.slice + 1, import_.request_id))
        return False
    return True


def _read_header(tx: Transaction, import_: Import, part: FilePart, now: datetime) -> bool:
    """Read the beginning of the file up to the end of the header, and keep the rest of the chunk in the cursor.

    The beginning is kept as it is until the header is complete.
    """
    data = import_.cursor.rest + part.data
    encoding, mark_length = detect_encoding(data, import_.file_format.encoding)
    text, decoder = to_utf8(data[mark_length:], encoding, DecoderState(), at_end=part.is_last)
    try:
        is_readable = part.is_last or len(data) >= MAX_MARK_BYTES
        beginning = read_beginning(text, import_.file_format, at_end=part.is_last) if is_readable else None
    except InvalidHeader as error:
        description = describe_invalid_header(data, error, import_.file_format.encoding)
        hint = strictjson.dumps(description) if description else None
        return _end_import(tx, import_, now, error.reason, error.names, hint)
    if beginning is None:
        _save_progress(tx, import_, part, FileCursor(rest=data), Counter())
    elif beginning.header is None:
        return _end_import(tx, import_, now)
    else:
        guess = suggest_encoding(data, encoding)
        hint = strictjson.dumps(guess) if guess else None
        imports.update_header(tx, import_.id, beginning.header, encoding, beginning.has_returns, hint, now)
        _save_progress(tx, import_, part, FileCursor(beginning.line, beginning.rest, decoder=decoder), Counter())
    return True


def _save_progress(
    tx: Transaction, import_: Import, part: FilePart, cursor: FileCursor, outcomes: Counter[str]
) -> None:
    stored_uploads.delete_chunks(tx, import_.id, import_.next_chunk, part.next_chunk)
    imports.update_progress(tx, import_.id, part.next_chunk, part.sheet_position, cursor, outcomes)


def _end_import(
    tx: Transaction,
    import_: Import,
    now: datetime,
    reason: str | None = None,
    names: tuple[str, ...] = (),
    hint: str | None = None,
) -> bool:
    """End the import and publish its event; a timer deletes the remaining chunks. Return False: no more steps."""
    status = "FAILURE" if reason else "SUCCESS"
    row = imports.update_ended(
        tx, import_.id, status=status, reason=reason, names=strictjson.dumps(names), hint=hint, now=now
    )
    payload = {name: row[name] for name in _EVENT_FIELDS}
    if reason:
        payload |= {"reason": reason, "names": list(names)}
    event = "OrdersImportFailed" if reason else "OrdersImported"
    outbox.add(tx, outbox.service_event("orders", event, payload, now=now, request_id=import_.request_id))
    return False


_EVENT_FIELDS = (
    *("task_id", "batch_no", "file_name", "dry_run"),
    *("total", "valid", "invalid", "updated", "duplicates", "rejected"),
)
