"""Rows of comma- and tab-separated text. Limits on lines, rows and columns apply before a row is built."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from specstore_service.domain.specs import MAX_COLUMNS
from specstore_service.operations.limits import (
    BATCH_ROWS,
    MAX_CELL_BYTES,
    Unreadable,
    too_many_columns,
)

_CHUNK_BYTES = 1024 * 1024
# An unclosed quote must not exhaust the memory, nor must the long rows of one batch.
_MAX_BATCH_CHARACTERS = 64 * 1024 * 1024
# A row that continues over many lines is searched again after at most this number of further delimiters.
_MAX_UNSEARCHED_DELIMITERS = 1_000_000


@contextmanager
def read_rows(path: Path, delimiter: str) -> Iterator[Iterator[list[str]]]:
    """Yield the rows. Raise Unreadable, also during iteration."""
    _reject_long_lines(path, delimiter)
    with path.open(encoding=_encoding(path), newline="") as file:
        yield _rows(file, delimiter)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def _rows(file: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    # The limit is global to the process, and other code changes it, too.
    csv.field_size_limit(MAX_CELL_BYTES)
    lines = _BoundedLines(file, delimiter)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if len(row) > MAX_COLUMNS:
                raise too_many_columns(f"row {lines.row_number}")
            lines.begin_row()
            yield row
    except csv.Error as error:
        raise Unreadable(f"line {reader.line_num}: {error}") from None


class _BoundedLines:
    """Supplies lines to the csv reader. Raises Unreadable before the reader would build a row that is too large."""

    def __init__(self, file: Iterable[str], delimiter: str) -> None:
        self._file, self._delimiter = file, delimiter
        self._wide_row_pattern = _wide_row_pattern(delimiter)
        self.row_number, self._batch_characters = 1, 0
        self._lines: list[str] = []
        self._checked_row = 0

    def begin_row(self) -> None:
        self.row_number += 1
        self._lines.clear()
        if self.row_number % BATCH_ROWS == 1:
            self._batch_characters = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self._lines.append(line)
            self._batch_characters += len(line)
            # A shorter row cannot have more columns.
            if len(line) > MAX_COLUMNS or len(self._lines) > 1:
                self._check_row()
            yield line

    def _check_row(self) -> None:
        if self._checked_row != self.row_number:
            self._checked_row, self._next_check_at = self.row_number, MAX_COLUMNS
            self._delimiters = self._counted_lines = 0
        if self._batch_characters > _MAX_BATCH_CHARACTERS:
            limit = f"{BATCH_ROWS} consecutive rows must have at most {_MAX_BATCH_CHARACTERS} characters"
            raise Unreadable(f"row {self.row_number}: {limit}; a quote may not be closed")
        self._delimiters += sum(line.count(self._delimiter) for line in self._lines[self._counted_lines :])
        self._counted_lines = len(self._lines)
        # Delimiters inside quotes do not separate columns. A row of many lines is not searched again for each line.
        if self._delimiters >= self._next_check_at:
            if self._wide_row_pattern.match("".join(self._lines)):
                raise too_many_columns(f"row {self.row_number}")
            self._next_check_at = self._delimiters + min(self._delimiters, _MAX_UNSEARCHED_DELIMITERS)


def _wide_row_pattern(delimiter: str) -> re.Pattern[str]:
    """Return a pattern that matches the beginning of a row with too many columns, as the csv reader counts them."""
    cell = rf'(?:"(?:[^"]++|"")*+"|[^"{delimiter}][^{delimiter}]*+)?+'
    return re.compile(f"(?:{cell}{delimiter}){{{MAX_COLUMNS}}}")


def _reject_long_lines(path: Path, delimiter: str) -> None:
    """Raise Unreadable if a line is too long: the csv reader needs complete lines."""
    length = begin = offset = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
            begin, length = (offset + end, len(chunk) - end) if end else (begin, length + len(chunk))
            offset += len(chunk)
            if length > MAX_CELL_BYTES:
                file.seek(begin)
                if _wide_row_pattern(delimiter).match(file.read(_CHUNK_BYTES).decode("utf-8", "replace")):
                    raise too_many_columns("a line")
                raise Unreadable(f"a line is longer than {MAX_CELL_BYTES} bytes")
