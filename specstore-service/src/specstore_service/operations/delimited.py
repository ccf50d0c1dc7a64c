"""Rows of delimited text. Limits on lines, rows and columns apply before a row is built."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from specstore_service.domain.dialects import Dialect
from specstore_service.domain.encodings import codec_of
from specstore_service.domain.schemas import MAX_COLUMNS
from specstore_service.operations.limits import (
    BATCH_ROWS,
    MAX_CELL_BYTES,
    Unreadable,
    too_many_columns,
)
from specstore_service.operations.text_lines import Substitution, read_lines

# An unclosed quote must not exhaust the memory, nor must the long rows of one batch.
_MAX_BATCH_CHARACTERS = 64 * 1024 * 1024
# A row that continues over many lines is searched again after at most this number of further delimiters.
_MAX_UNSEARCHED_DELIMITERS = 1_000_000


@contextmanager
def read_rows(
    path: Path, delimiter: str, dialect: Dialect, encoding: str | None = None, null_text: str = ""
) -> Iterator[Iterator[list[str] | None]]:
    """Yield the rows, None for each comment. `delimiter` is the default. Raise Unreadable, also during iteration."""
    substitution = Substitution(dialect, delimiter)
    wide_row_pattern = _wide_row_pattern(substitution.delimiter, dialect)

    def reject_long_line(beginning: str) -> None:
        if wide_row_pattern.match(beginning):
            raise too_many_columns("a line")
        raise Unreadable(f"a line is longer than {MAX_CELL_BYTES} bytes")

    with path.open(encoding=codec_of(encoding) if encoding else _detect_encoding(path), newline="") as file:
        lines = read_lines(file, dialect.delimited.line_terminator, substitution, reject_long_line)
        bounded_lines = _BoundedLines(lines, substitution.delimiter, wide_row_pattern, dialect.comment_char)
        yield substitution.restore(_rows(bounded_lines, _reader_options(substitution.delimiter, dialect)), null_text)


def _detect_encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def _reader_options(delimiter: str, dialect: Dialect) -> dict[str, Any]:
    properties = dialect.delimited
    return {
        "delimiter": delimiter,
        "quotechar": properties.quote_char or None,
        "quoting": csv.QUOTE_MINIMAL if properties.quote_char else csv.QUOTE_NONE,
        "doublequote": properties.double_quote is not False,
        "escapechar": properties.escape,
        "skipinitialspace": bool(properties.skip_initial_space),
    }


def _rows(lines: "_BoundedLines", options: dict[str, Any]) -> Iterator[list[str] | None]:
    # The limit is global to the process, and other code changes it, too.
    csv.field_size_limit(MAX_CELL_BYTES)
    reader = csv.reader(lines, strict=True, **options)
    try:
        for row in reader:
            if lines.comments:
                yield from (None for _ in range(lines.comments))
            if len(row) > MAX_COLUMNS:
                raise too_many_columns(f"row {lines.row_number}")
            lines.begin_row()
            yield row
    except csv.Error as error:
        raise Unreadable(f"line {reader.line_num + lines.skipped_lines}: {error}") from None


class _BoundedLines:
    """Supplies lines to the csv reader, except comments.

    Raises Unreadable before the reader would build a row that is too large. `comments` is the number of comments since
    the last row.
    """

    def __init__(
        self, lines: Iterable[str], delimiter: str, wide_row_pattern: re.Pattern[str], comment_char: str | None
    ) -> None:
        self._source, self._delimiter, self._comment_char = lines, delimiter, comment_char
        self._wide_row_pattern = wide_row_pattern
        self.row_number, self._batch_rows, self._batch_characters = 1, 0, 0
        self.comments = self.skipped_lines = 0
        self._lines: list[str] = []
        self._checked_row = 0

    def begin_row(self) -> None:
        self.row_number += 1
        self.comments = 0
        self._lines.clear()
        self._batch_rows += 1
        if self._batch_rows == BATCH_ROWS:
            self._batch_rows = self._batch_characters = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._source:
            if self._comment_char and not self._lines and line.startswith(self._comment_char):
                self.comments += 1
                self.skipped_lines += 1
                self.row_number += 1
                continue
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


def _wide_row_pattern(delimiter: str, dialect: Dialect) -> re.Pattern[str]:
    """Return a pattern that matches the beginning of a row with too many columns, as the csv reader counts them."""
    properties = dialect.delimited
    mark = re.escape(delimiter)
    quote, escape = re.escape(properties.quote_char or ""), re.escape(properties.escape or "")
    escaped = f"|{escape}." if escape else ""
    text = rf"(?:[^{mark}{escape}]++{escaped})*+"
    if quote:
        # Without doubled quotes, the text of a cell may continue after a quote.
        doubled, continued = (f"|{quote}{quote}", "") if properties.double_quote is not False else ("", text)
        text = rf"(?:{quote}(?:[^{quote}{escape}]++{doubled}{escaped})*+{quote}{continued}|(?!{quote}){text})?+"
    space = " *+" if properties.skip_initial_space else ""
    return re.compile(f"(?:{space}{text}{mark}){{{MAX_COLUMNS}}}", re.DOTALL)
