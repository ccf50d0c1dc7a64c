"""A chunk of a CSV file as a table: parsed by polars if its lines are regular, by `csv_rows` otherwise."""

import io
from dataclasses import dataclass

import polars as pl

from orders_service.domain.csv_rows import MAX_ROW_BYTES, Row, split_rows
from orders_service.domain.formulas import unescape
from orders_service.domain.headers import BYTE_ORDER_MARK, Header
from orders_service.domain.imports import FileCursor

# Replaces U+0000 and bytes that are not valid UTF-8.
UNREADABLE = "\ufffd"


@dataclass(frozen=True)
class Table:
    """The rows of a chunk.

    `rows` has a text column for each column of the file, and in addition `position` (the index among all rows of the
    chunk), `#line` (the number in the file; an error report has a column `line`), and `reason` (why the row cannot be
    an order, or null). `malformed` rows, as (position, row), could not be split into fields.
    """

    rows: pl.DataFrame
    malformed: list[tuple[int, Row]]


def read_table(chunk: bytes, header: Header, cursor: FileCursor, *, at_end: bool) -> tuple[Table, FileCursor]:
    """Return the rows that this chunk completes, and the cursor after them without its `previous`."""
    data = cursor.rest + chunk
    end = len(data) if at_end else data.rfind(b"\n") + 1
    can_be_regular = not cursor.is_skipping and len(data) - end < MAX_ROW_BYTES
    regular = _read_regular(data[:end], header) if can_be_regular else None
    if regular is not None:
        position = pl.int_range(pl.len(), dtype=pl.Int64)
        reason = pl.lit(None, pl.String).alias("reason")
        rows = regular.with_columns(position.alias("position"), (position + cursor.line).alias("#line"), reason)
        return Table(rows, []), FileCursor(cursor.line + len(regular), data[end:])
    split = split_rows(data, header.separator, at_end=at_end, is_skipping=cursor.is_skipping)
    next_cursor = FileCursor(cursor.line + split.used_lines, data[split.used_bytes :], split.is_skipping)
    return _build_table(split.rows, header, cursor.line), next_cursor


def _read_regular(body: bytes, header: Header) -> pl.DataFrame | None:
    """Return the rows if each line is plain text with one field per column, else None."""
    line_count = body.count(b"\n") + (not body.endswith(b"\n"))
    if (
        header.is_report
        or body.count(header.separator.encode()) != line_count * (len(header.columns) - 1)
        or body.count(b"\r") != body.count(b"\r\n")
        or b'"' in body
        or b"\0" in body
        or body.startswith(BYTE_ORDER_MARK)
        or max(map(len, body.split(b"\n"))) >= MAX_ROW_BYTES
    ):
        return None
    try:
        body.decode("utf-8")
        return pl.read_csv(
            io.BytesIO(body.replace(b"\r\n", b"\n")),
            has_header=False,
            separator=header.separator,
            quote_char=None,
            schema=dict.fromkeys(header.columns, pl.String),
            empty_string_is_null=False,
        )
    except (UnicodeDecodeError, pl.exceptions.PolarsError):
        # One line has too many fields and another too few, or there are no lines.
        return None


def _build_table(rows: list[Row], header: Header, first_line: int) -> Table:
    records: list[tuple[object, ...]] = []
    malformed: list[tuple[int, Row]] = []
    is_report = header.is_report
    for position, row in enumerate(rows):
        line = first_line + row.line
        if row.fields is None or len(row.fields) != len(header.columns):
            malformed.append((position, Row(line, row.raw, None, row.reason or "fields")))
            continue
        cells, reason = _make_storable(row.fields)
        records.append((*(map(unescape, cells) if is_report else cells), position, line, reason))
    schema = {**dict.fromkeys(header.columns, pl.String), "position": pl.Int64, "#line": pl.Int64, "reason": pl.String}
    return Table(pl.DataFrame(records, schema=schema, orient="row"), malformed)


def _make_storable(fields: list[str]) -> tuple[list[str], str | None]:
    """Return the fields as text that Postgres can store, and the reason if characters had to be replaced."""
    text = "".join(fields)
    reason = "nul" if "\0" in text else None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        reason = "encoding"
        fields = [field.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for field in fields]
    return [field.replace("\0", UNREADABLE) for field in fields] if reason else fields, reason
