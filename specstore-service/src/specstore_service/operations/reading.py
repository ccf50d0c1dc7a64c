"""Rows of a source, some hundred at a time, whatever its format: a gigabyte takes no more memory than a page."""

import codecs
import csv
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from specstore_service.domain.sources import Source
from specstore_service.operations.copies import Failed

ROWS_AT_ONCE = 200
_CHARACTERS_AT_ONCE, _MOST_TIMES_FOR_A_BATCH = 1024 * 1024, 64
_PIECE_BYTES = 1024 * 1024
_LONGEST_CELL = 16 * 1024 * 1024
_MOST_COLUMNS = 16384
_MOST_PARTS = 10_000
_SPREADSHEETS, _DOCUMENTS = ("xlsx", "xlsm"), ("json",)
_OF_LINES = ("csv", "tsv", "tab", "txt", "dat", "")

Rows = Iterator[list[Any]]
Batches = Iterator[list[list[Any]]]

csv.field_size_limit(_LONGEST_CELL)


@contextmanager
def batches_of(source: Source, path: Path | None, unpacked_bytes: int) -> Iterator[Batches]:
    """From the row with the headers on; empty rows at the end are left out. Raises Failed, also while it is read."""
    with _told_as_failure(source.name), _rows(source, path, unpacked_bytes) as rows:
        below = islice(rows, source.tabulator.headers - 1, None)
        first = next(below, None)
        if first is None:
            raise Failed(f"{source.name}: there is no row {source.tabulator.headers} with headers")
        yield _within(source.name, _batches(chain([first], below)))


def _within(name: str, batches: Batches) -> Batches:
    """The reader's own words for what is wrong, wherever it is noticed."""
    with _told_as_failure(name):
        yield from batches


@contextmanager
def _told_as_failure(name: str) -> Iterator[None]:
    try:
        yield
    except UnicodeError:
        raise Failed(f"{name}: is not text in UTF-8") from None
    except _Unreadable as error:
        raise Failed(f"{name}: {error}") from None
    except (zipfile.BadZipFile, RecursionError, json.JSONDecodeError):
        raise Failed(f"{name}: cannot be read as what its format says") from None


class _Unreadable(Exception):
    pass


def _batches(rows: Rows) -> Batches:
    blank = 0
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        kept = len(batch)
        while kept and not any(cell not in (None, "") for cell in batch[kept - 1]):
            kept -= 1
        if kept:
            # What was held back was not at the end after all.
            while blank:
                yield [[]] * min(blank, ROWS_AT_ONCE)
                blank -= min(blank, ROWS_AT_ONCE)
            yield batch[:kept]
        blank += len(batch) - kept


@contextmanager
def _rows(source: Source, path: Path | None, unpacked_bytes: int) -> Iterator[Rows]:
    if path is None:
        yield _listed(source, source.rows or [])
    elif source.format in _SPREADSHEETS:
        with _sheet(source, path, unpacked_bytes) as rows:
            yield rows
    elif source.format in _DOCUMENTS:
        if path.stat().st_size > unpacked_bytes // 4:
            raise _Unreadable(f"JSON of more than {unpacked_bytes // 4} bytes is not read")
        content = json.loads(path.read_bytes())
        if not isinstance(content, list):
            raise _Unreadable("is no list of rows")
        yield _listed(source, content)
    elif source.format in _OF_LINES:
        _refuse_endless_line(path)
        with path.open(encoding=_encoding(path), newline="") as file:
            yield _lines(file, "\t" if source.format in ("tsv", "tab") else ",")
    else:
        raise _Unreadable(f"the format {source.format} is not one of csv, tsv, xlsx and json")


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def _lines(file: Any, delimiter: str) -> Rows:
    taken = 0

    def lines_at_once() -> Iterator[list[str]]:
        """A quote that is never closed must not fill the memory."""
        nonlocal taken
        while lines := file.readlines(_CHARACTERS_AT_ONCE):
            taken += 1
            if taken > _MOST_TIMES_FOR_A_BATCH:
                raise _Unreadable(f"line {reader.line_num}: a row is too long: is a quote not closed?")
            yield lines

    reader = csv.reader(chain.from_iterable(lines_at_once()), delimiter=delimiter, strict=True)
    while True:
        taken = 0
        try:
            batch = list(islice(reader, ROWS_AT_ONCE))
        except csv.Error as error:
            raise _Unreadable(f"line {reader.line_num}: {error}") from None
        if not batch:
            return
        yield from batch


def _refuse_endless_line(path: Path) -> None:
    """Lines are read whole."""
    without_end = 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            end = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
            without_end = len(piece) - end - 1 if end >= 0 else without_end + len(piece)
            if without_end > _LONGEST_CELL:
                raise _Unreadable(f"a line is longer than {_LONGEST_CELL} bytes")


def _listed(source: Source, items: list[Any]) -> Rows:
    """Rows inline: all of them objects, or all of them arrays with the headers first."""
    if all(isinstance(item, dict) for item in items):
        known = [field["name"] for field in source.schema["fields"]] if source.schema else []
        names = list(dict.fromkeys(chain(known, chain.from_iterable(items))))
        if names:
            yield names
        for item in items:
            yield [item.get(name) for name in names]
        return
    for number, item in enumerate(items, 1):
        if not isinstance(item, list):
            raise _Unreadable(f"row {number}: all rows must be objects, or all arrays")
        yield item


@contextmanager
def _sheet(source: Source, path: Path, unpacked_bytes: int) -> Iterator[Rows]:
    _refuse_bomb(path, unpacked_bytes)
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (KeyError, ValueError, TypeError, AttributeError, SyntaxError) as error:
        raise _Unreadable("cannot be read as a spreadsheet") from error
    try:
        yield _cells(_chosen(book, source.tabulator.sheet))
    finally:
        book.close()


def _refuse_bomb(path: Path, unpacked_bytes: int) -> None:
    """A part of an archive cannot give more than its size in the directory: zipfile cuts it off there."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > unpacked_bytes:
        raise _Unreadable(f"takes up more than {unpacked_bytes} bytes when it is unpacked")


def _chosen(book: Any, sheet: int | str) -> Any:
    names = [it.title for it in book.worksheets]
    if isinstance(sheet, int) and sheet <= len(names):
        return book.worksheets[sheet - 1]
    if sheet in names:
        return book[sheet]
    raise _Unreadable(f"there is no sheet {sheet}")


def _cells(sheet: Any) -> Rows:
    """Of the width of the first row, or of what is in them where that is more."""
    # What the sheet says of its own size may be anything.
    sheet.reset_dimensions()
    width = 0
    try:
        for cells in sheet.iter_rows(values_only=True):
            row = list(cells[:_MOST_COLUMNS])
            while row and row[-1] is None:
                row.pop()
            width = width or len(row)
            yield row + [None] * (width - len(row)) if row else []
    except (KeyError, ValueError, TypeError, AttributeError, SyntaxError) as error:
        raise _Unreadable("cannot be read as a spreadsheet") from error
