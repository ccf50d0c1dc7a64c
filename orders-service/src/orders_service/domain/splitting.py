"""From the bytes of a file to its rows, whatever stands in them: where a row ends, and what its fields are.

The way for rows that are not plain: those with quotes, NULs, bytes that are no text, lines that have no end.
"""

import functools
import re
from dataclasses import dataclass

from orders_service.domain.headers import MAX_COLUMNS

LONGEST_ROW_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Row:
    """`line` is where it begins, counted from 0; `fields` is None where it cannot be split, `reason` then says why."""

    line: int
    raw: bytes
    fields: list[bytes] | None
    reason: str | None = None


@dataclass(frozen=True)
class Rows:
    """What was complete. `used` bytes and `lines` are behind; the rest waits for more.

    `skipping`: the rest has to be passed over up to the next line break, being the end of a row that was too long.
    """

    found: list[Row]
    used: int
    lines: int
    skipping: bool


@functools.cache
def _quoted_field(separator: bytes) -> re.Pattern[bytes]:
    """A quoted field with what may wrongly follow its closing quote, up to the separator or the end of the line."""
    return re.compile(rb'"((?:[^"]++|"")*+)"([^' + re.escape(separator) + rb"\n]*+)")


@functools.cache
def _opening_quote(separator: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?:^|[\n" + re.escape(separator) + rb'])"')


def has_quoted_field(data: bytes, separator: bytes) -> bool:
    """A quote elsewhere in a field is itself."""
    return b'"' in data and _opening_quote(separator).search(data) is not None


def rows_in(data: bytes, separator: bytes, *, at_end: bool, skipping: bool = False) -> Rows:
    """All rows that are complete in `data`; `at_end`: nothing comes after it, so the last one is complete too.

    Lines without anything are no rows. A row whose quotes are not closed within the longest that a row may be
    is its first line only.
    """
    found: list[Row] = []
    position = line = 0
    if skipping:
        position = data.find(b"\n") + 1
        if not position:
            return Rows([], len(data), 0, not at_end)
        line = 1
    while position < len(data):
        row = _row_at(data, position, line, separator, at_end)
        if row is None:
            break
        end, reason, fields = row
        raw = data[position:end]
        if raw.strip(b"\r\n") or reason:
            found.append(Row(line, raw, fields, reason))
        position, line = end, line + raw.count(b"\n")
        if reason == "too_long" and not raw.endswith(b"\n"):
            return Rows(found, len(data), line, not at_end)
    return Rows(found, position, line, False)


def _row_at(
    data: bytes, start: int, line: int, separator: bytes, at_end: bool
) -> tuple[int, str | None, list[bytes] | None] | None:
    """Where the row ends, what is wrong with it, its fields; None: it is not known yet."""
    window = min(len(data), start + LONGEST_ROW_BYTES)
    # As long as that is too long, also where nothing follows: this may not be known yet.
    is_whole = at_end and len(data) - start < LONGEST_ROW_BYTES
    fields, end = _fields_at(data, start, window, separator, is_whole)
    if fields is not None:
        return end, None, fields
    if window - start < LONGEST_ROW_BYTES and not at_end:
        return None
    line_end = data.find(b"\n", start, window) + 1
    if line_end or is_whole:
        return line_end or window, "fields", None
    return _end_of_too_long(data, window), "too_long", None


def _end_of_too_long(data: bytes, window: int) -> int:
    return data.find(b"\n", window) + 1 or len(data)


def _fields_at(
    data: bytes, start: int, window: int, separator: bytes, is_whole: bool
) -> tuple[list[bytes] | None, int]:
    """The fields of the row that begins there and ends before `window`, and where it ends; None: it does not.

    Of a row with more fields than a header may have columns, the first ones.
    """
    line_end = data.find(b"\n", start, window)
    if line_end < 0 and is_whole:
        line_end = window
    if line_end >= 0 and not has_quoted_field(data[start:line_end], separator):
        return _without_return(data[start:line_end]).split(separator, MAX_COLUMNS), min(line_end + 1, window)
    fields: list[bytes] = []
    position = start
    while True:
        field, position = _field_at(data, position, window, separator, is_whole)
        if field is None:
            return None, start
        fields.append(field)
        if data[position : position + 1] != separator or position >= window:
            return fields, min(position + 1, window)
        if len(fields) > MAX_COLUMNS:
            # The rest is not split: the row ends with the line.
            line_end = data.find(b"\n", position, window)
            if line_end < 0 and not is_whole:
                return None, start
            return fields, line_end + 1 or window
        position += 1


def _field_at(data: bytes, start: int, window: int, separator: bytes, is_whole: bool) -> tuple[bytes | None, int]:
    """A field and where it ends: at a separator, at a line break, or at the end of everything."""
    if data[start : start + 1] == b'"' and start < window:
        match = _quoted_field(separator).match(data, start, window)
        if match is None or (match.end() == window and not is_whole):
            return None, start
        behind = match[2]
        if data[match.end() : match.end() + 1] != separator:
            behind = _without_return(behind)
        return match[1].replace(b'""', b'"') + behind, match.end()
    ends = [end for end in (data.find(separator, start, window), data.find(b"\n", start, window)) if end >= 0]
    if not ends and not is_whole:
        return None, start
    end = min(ends, default=window)
    field = data[start:end]
    return (field if data[end : end + 1] == separator else _without_return(field)), end


def _without_return(field: bytes) -> bytes:
    return field.removesuffix(b"\r")
