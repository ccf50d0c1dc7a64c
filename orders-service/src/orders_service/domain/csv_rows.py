"""CSV rows by the standard library: for chunks with quotes, uneven lines or bytes that are not valid UTF-8."""

import csv
import io
import re
from dataclasses import dataclass

MAX_ROW_BYTES = 1024 * 1024
# A setting of the process: the rows themselves are limited below.
csv.field_size_limit(MAX_ROW_BYTES)

# csv would end the row here. A lone surrogate stands in for it, which no decoded text contains.
_LONE_RETURN = re.compile(r"\r(?!\n|\Z)")
_RETURN = "\ud800"


@dataclass(frozen=True)
class Row:
    """`line` is the number of its first line; `fields` is None if it cannot be split, for the `reason`.

    Bytes that are not valid UTF-8 are in the fields as Python's `surrogateescape` has them.
    """

    line: int
    raw: bytes
    fields: list[str] | None
    reason: str | None = None


@dataclass(frozen=True)
class SplitRows:
    """The complete rows of a chunk, which are its first `used_bytes` and `used_lines`.

    `skipping`: the chunk ends within a row that is too long; its remainder has to be skipped up to the line break.
    """

    rows: list[Row]
    used_bytes: int
    used_lines: int
    skipping: bool = False


def split_rows(chunk: bytes, separator: str, *, at_end: bool, skipping: bool = False) -> SplitRows:
    """Split all rows that are complete in the chunk; `at_end`: the file ends with it, so its last row is complete.

    Blank lines are not rows. Quotes that are not closed within MAX_ROW_BYTES are not quotes: the first line is
    rejected alone.
    """
    lines = io.BytesIO(chunk).readlines()
    reader = _RowReader(lines, separator)
    first, rows = 0, []
    remaining = len(chunk)
    if skipping and lines:
        first, remaining = 1, remaining - len(lines[0])
        skipping = not lines[0].endswith(b"\n")
    while first < len(lines):
        line = lines[first]
        fields, end = reader.read_row(first)
        if len(line.removesuffix(b"\n")) >= MAX_ROW_BYTES:
            row, end, skipping = Row(first, line, None, "too_long"), first + 1, not line.endswith(b"\n")
        elif fields is None and (at_end or remaining >= MAX_ROW_BYTES):
            row, end = Row(first, line, None, "fields"), first + 1
        elif fields is None or (not at_end and not lines[end - 1].endswith(b"\n")):
            break
        else:
            row = Row(first, b"".join(lines[first:end]), fields)
        if row.raw.strip(b"\r\n"):
            rows.append(row)
        remaining -= sum(map(len, lines[first:end]))
        first = end
    used_bytes = len(chunk) - remaining
    return SplitRows(rows, used_bytes, chunk.count(b"\n", 0, used_bytes), skipping and not at_end)


class _RowReader:
    """Reads the row that begins on any line, of at most MAX_ROW_BYTES with its line break."""

    def __init__(self, lines: list[bytes], separator: str) -> None:
        self._lines = lines
        self._reader = csv.reader(self, delimiter=separator)

    def read_row(self, first: int) -> tuple[list[str] | None, int]:
        """Return the fields and the line after the row; no fields if its quotes are not closed in time."""
        self._next, self._bytes, self._is_cut = first, 0, False
        fields = next(self._reader, None)
        if fields is None or self._is_cut:
            return None, first
        return [field.replace(_RETURN, "\r") for field in fields], self._next

    def __iter__(self) -> "_RowReader":
        return self

    def __next__(self) -> str:
        """Return the next line of the row, which csv asks for as long as quotes are open."""
        if self._next < len(self._lines):
            line = self._lines[self._next]
            self._bytes += len(line) + (not line.endswith(b"\n"))
            if self._bytes <= MAX_ROW_BYTES:
                self._next += 1
                return _LONE_RETURN.sub(_RETURN, line.decode("utf-8", "surrogateescape"))
        self._is_cut = True
        raise StopIteration
