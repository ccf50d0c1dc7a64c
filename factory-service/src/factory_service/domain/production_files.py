"""Parses a CSV file of production while it is read, so that memory use does not depend on its size."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from chassis.errors import Invalid
from chassis.timestamps import parse_rfc_3339
from factory_service.domain.charts import LATE_TIME, MAX_POINT_TIME, MAX_VALUE, Points, points_from_columns

COLUMNS = ("time", "actual", "goal")
POINTS_PER_BATCH = 10_000
# Longer than any valid line.
_MAX_LINE_LENGTH = 1000
_INTEGER = re.compile(r"-?[0-9]{1,20}\Z")

Row = tuple[int, int, int]


def parse_production(chunks: Iterable[bytes]) -> Iterator[Points]:
    """Yield the points in batches whose boundaries depend only on the file. Raise Invalid at the first error.

    The first line is the header: `time`, `actual` and `goal` in any order. A time is Unix seconds or RFC 3339. Blank
    lines are ignored. The error names the line and the column.
    """
    rows = _rows(_lines(chunks))
    while batch := list(islice(rows, POINTS_PER_BATCH)):
        time, actual, goal = (list(column) for column in zip(*batch, strict=True))
        yield points_from_columns(time, actual, goal)


def _rows(lines: Iterable[str]) -> Iterator[Row]:
    reader = csv.reader(lines, strict=True)
    order = None
    try:
        for cells in reader:
            if not any(map(str.strip, cells)):
                continue
            if order is None:
                order = _column_order(cells)
            elif len(cells) != len(COLUMNS):
                raise Invalid.field(f"line {reader.line_num}", f"must have 3 columns, not {len(cells)}")
            else:
                yield _row([cells[index].strip() for index in order], reader.line_num)
    except csv.Error as error:
        raise Invalid.field(f"line {reader.line_num}", f"must be valid CSV: {error}") from None
    if order is None:
        raise Invalid.field("line 1", _HEADER_MESSAGE)


_HEADER_MESSAGE = f"must be the header {','.join(COLUMNS)}"


def _column_order(cells: list[str]) -> list[int]:
    names = [cell.strip().lower() for cell in cells]
    if sorted(names) != sorted(COLUMNS):
        raise Invalid.field("line 1", f"{_HEADER_MESSAGE}, separated by commas")
    return [names.index(name) for name in COLUMNS]


def _row(cells: list[str], line: int) -> Row:
    time, actual, goal = cells
    return _parse_time(time, line), _parse_value(actual, "actual", line), _parse_value(goal, "goal", line)


def _parse_time(text: str, line: int) -> int:
    if _INTEGER.match(text):
        seconds = int(text)
    else:
        try:
            time = parse_rfc_3339(text)
        except ValueError:
            time = None
        if time is None or time.microsecond:
            message = "must be Unix seconds, or an RFC 3339 time of whole seconds, such as 2026-11-21T12:00:00Z"
            raise Invalid.field(f"line {line}.time", message)
        seconds = int(time.timestamp())
    if seconds > MAX_POINT_TIME:
        raise Invalid.field(f"line {line}.time", LATE_TIME)
    if seconds < 0:
        raise Invalid.field(f"line {line}.time", "must not be before 1970")
    return seconds


def _parse_value(text: str, column: str, line: int) -> int:
    if not _INTEGER.match(text) or not -MAX_VALUE <= int(text) <= MAX_VALUE:
        message = f"must be an integer between {-MAX_VALUE} and {MAX_VALUE}"
        raise Invalid.field(f"line {line}.{column}", message)
    return int(text)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of UTF-8 text with their line breaks."""
    rest, line_count = "", 0
    for text in _decode(chunks):
        *lines, rest = (rest + text).split("\n")
        line_count += len(lines)
        for line in lines:
            yield line + "\n"
        if len(rest) > _MAX_LINE_LENGTH:
            raise Invalid.field(f"line {line_count + 1}", f"must have at most {_MAX_LINE_LENGTH} characters")
    yield rest


def _decode(chunks: Iterable[bytes]) -> Iterator[str]:
    # The encoding ignores a byte order mark.
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise Invalid.field("file", "must be valid UTF-8") from None
