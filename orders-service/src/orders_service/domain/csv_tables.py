"""A chunk of a CSV file as a table: parsed by polars if its lines are regular, by `csv_rows` otherwise."""

import io
import re
from codecs import BOM_UTF8
from dataclasses import dataclass, replace

import polars as pl

from orders_service.domain.csv_rows import MAX_ROW_BYTES, Row, split_rows
from orders_service.domain.encodings import (
    IS_UNREADABLE,
    MAY_BEGIN_NONCHARACTER,
    MAY_BEGIN_SOURCE,
    escape_unreadable,
    remove_source_bytes,
)
from orders_service.domain.formulas import CONTAINS_FORMULA, escape, unescape
from orders_service.domain.headers import Header
from orders_service.domain.imports import FileCursor
from orders_service.domain.reports import quote_cell
from orders_service.domain.states import WHITE_SPACE

# A separator of the file may precede a formula, too.
_FORMULA = re.compile(CONTAINS_FORMULA)


@dataclass(frozen=True)
class Table:
    """The rows of a chunk.

    `rows` has a text column for each column of the file that has a name, and in addition `position` (the index among
    all rows of the chunk), `#line` (the number in the file; an error report has a column `line`), `reason` (why the
    row cannot be an order, or null), and `#cells` (the row for the error report, null if that consists of its texts).
    `malformed` rows, as (position, row), could not be split into fields. Blank rows are in neither of them.
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
        rows = _without_blank_rows(regular.with_columns((position + cursor.line).alias("#line")), header)
        nothing = pl.lit(None, pl.String)
        rows = rows.with_columns(position.alias("position"), nothing.alias("reason"), nothing.alias("#cells"))
        return Table(rows, []), replace(cursor, line=cursor.line + len(regular), rest=data[end:])
    split = split_rows(data, header.separator, at_end=at_end, is_skipping=cursor.is_skipping)
    next_line, rest = cursor.line + split.used_lines, data[split.used_bytes :]
    next_cursor = replace(cursor, line=next_line, rest=rest, is_skipping=split.is_skipping)
    return _build_table(split.rows, header, cursor.line), next_cursor


def _without_blank_rows(rows: pl.DataFrame, header: Header) -> pl.DataFrame:
    """Return the rows that are not blank. Few rows have a blank ID, so the other cells are rarely examined."""
    if not rows["id"].str.strip_chars(WHITE_SPACE).eq("").any():
        return rows
    return rows.filter(~pl.all_horizontal(pl.col(name).str.strip_chars(WHITE_SPACE) == "" for name in header.columns))


def _read_regular(body: bytes, header: Header) -> pl.DataFrame | None:
    """Return the rows if each line is plain text with one field per column, else None."""
    line_count = body.count(b"\n") + (not body.endswith(b"\n"))
    if (
        (header.has_escaped_formulas and b"'" in body)
        or body.count(header.separator.encode()) != line_count * (len(header.columns) - 1)
        or body.count(b"\r") != body.count(b"\r\n")
        or b'"' in body
        or b"\0" in body
        or MAY_BEGIN_NONCHARACTER in body
        or MAY_BEGIN_SOURCE in body
        or body.startswith(BOM_UTF8)
        or max(map(len, body.split(b"\n"))) >= MAX_ROW_BYTES
    ):
        return None
    try:
        body.decode("utf-8")
        rows = pl.read_csv(
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
    has_unnamed_cells = any(rows[name].ne("").any() for name in header.columns[len(header.named_columns) :])
    return None if has_unnamed_cells else rows


def _build_table(rows: list[Row], header: Header, first_line: int) -> Table:
    records: list[tuple[object, ...]] = []
    malformed: list[tuple[int, Row]] = []
    columns, is_escaped, position = header.named_columns, header.has_escaped_formulas, 0
    reported_columns = header.reported_columns
    for row in rows:
        line = first_line + row.line
        fields = row.fields
        if fields is not None and not any(cell.strip(WHITE_SPACE) for cell in fields):
            continue
        if fields is None or len(fields) < len(columns) or any(c.strip(WHITE_SPACE) for c in fields[len(columns) :]):
            malformed.append((position, Row(line, row.raw, None, row.reason or "fields")))
        else:
            cells, reason = _make_storable(fields[: len(columns)])
            cells = [*map(unescape, cells)] if is_escaped else cells
            texts = [*map(remove_source_bytes, cells)]
            report_cells = _report_cells(row, cells, texts, header, reported_columns)
            records.append((*texts, position, line, reason, report_cells))
        position += 1
    schema = {
        **dict.fromkeys(columns, pl.String),
        **dict.fromkeys(("position", "#line"), pl.Int64),
        **dict.fromkeys(("reason", "#cells"), pl.String),
    }
    return Table(pl.DataFrame(records, schema=schema, orient="row"), malformed)


def _report_cells(
    row: Row, cells: list[str], texts: list[str], header: Header, reported_columns: tuple[str, ...]
) -> str | None:
    """Return the row for the error report, with its own quotes if no cell is changed; None if that is its texts."""
    if b'"' not in row.raw and texts == cells:
        return None
    raw = row.raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")
    has_same_columns = row.fields is not None and len(row.fields) == len(cells) == len(reported_columns)
    if has_same_columns and "\r" not in raw and (not _FORMULA.search(raw) or [*map(escape, cells)] == cells):
        return escape_unreadable(raw)
    if texts == cells:
        return None
    by_column = dict(zip(header.named_columns, cells, strict=True))
    return header.separator.join(quote_cell(escape(by_column[name]), header.separator) for name in reported_columns)


def _make_storable(fields: list[str]) -> tuple[list[str], str | None]:
    """Return the fields as text that Postgres can store, and the reason if characters had to be escaped."""
    text = "".join(fields)
    reason = "nul" if "\0" in text else None
    if IS_UNREADABLE.search(text):
        reason = "encoding"
    return [escape_unreadable(field) for field in fields] if reason else fields, reason
