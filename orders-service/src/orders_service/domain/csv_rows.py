"""CSV rows, split by the standard library: for chunks with quotes, irregular lines or invalid UTF-8."""

import csv
import io
import re
from dataclasses import dataclass

MAX_ROW_BYTES = 1024 * 1024
# The limit of the csv module applies to the whole process; the rows themselves are limited below.
csv.field_size_limit(MAX_ROW_BYTES)

# The csv module would end the row at a lone carriage return. A lone surrogate, which decoded text never contains,
# replaces it until the row has been split.
_LONE_RETURN = re.compile(r"\r(?!\n|\Z)")
_RETURN_PLACEHOLDER = "\ud800"


@dataclass(frozen=True)
class Row:
    """A row of the file.

    `line` is the position of its first line: within the chunk, counted from 0, or within the file, counted from 1.
    `fields` is None if the row cannot be split, and `reason` then states why. Bytes that are not valid UTF-8 are
    encoded in the fields by the error handler `surrogateescape`, those of another encoding as noncharacters.
    """

    line: int
    raw: bytes
    fields: list[str] | None
    reason: str | None = None


@dataclass(frozen=True)
class SplitRows:
    """The complete rows of a chunk, which occupy its first `used_bytes` and `used_lines`.

    `is_skipping`: the chunk ends within a row that is too long, whose remainder must be skipped up to its line break.
    """

    rows: list[Row]
    used_bytes: int
    used_lines: int
    is_skipping: bool = False


def split_rows(chunk: bytes, separator: str, *, at_end: bool, is_skipping: bool = False) -> SplitRows:
    """Split all rows that are complete in the chunk.

    With `at_end`, the file ends with the chunk, so that its last row is complete without a line break. Blank lines are
    ignored. A quote that is not closed within MAX_ROW_BYTES is literal: only its line is rejected.
    """
    lines = io.BytesIO(chunk).readlines()
    reader = _RowReader(lines, separator)
    first, rows = 0, []
    remaining = len(chunk)
    if is_skipping and lines:
        first, remaining = 1, remaining - len(lines[0])
        is_skipping = not lines[0].endswith(b"\n")
    while first < len(lines):
        line = lines[first]
        fields, end = reader.read_row(first)
        if len(line.removesuffix(b"\n")) >= MAX_ROW_BYTES:
            row, end, is_skipping = Row(first, line, None, "too_long"), first + 1, not line.endswith(b"\n")
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
    return SplitRows(rows, used_bytes, chunk.count(b"\n", 0, used_bytes), is_skipping and not at_end)


class _RowReader:
    """Reader of single rows, each at most MAX_ROW_BYTES long including its line break."""

    def __init__(self, lines: list[bytes], separator: str) -> None:
        self._lines = lines
        self._reader = csv.reader(self, delimiter=separator)

    def read_row(self, first: int) -> tuple[list[str] | None, int]:
        """Return the fields of the row that begins on line `first`, and the index of the line after it.

        The fields are None if the quotes of the row are not closed within MAX_ROW_BYTES.
        """
        self._next, self._bytes, self._is_cut = first, 0, False
        fields = next(self._reader, None)
        if fields is None or self._is_cut:
            return None, first
        return [field.replace(_RETURN_PLACEHOLDER, "\r") for field in fields], self._next

    def __iter__(self) -> "_RowReader":
        return self

    def __next__(self) -> str:
        """Return the next line of the row; csv requests lines until all quotes are closed."""
        if self._next < len(self._lines):
            line = self._lines[self._next]
            self._bytes += len(line) + (not line.endswith(b"\n"))
            if self._bytes <= MAX_ROW_BYTES:
                self._next += 1
                return _LONE_RETURN.sub(_RETURN_PLACEHOLDER, line.decode("utf-8", "surrogateescape"))
        self._is_cut = True
        raise StopIteration
