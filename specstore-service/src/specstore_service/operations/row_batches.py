"""Rows of a source in batches, whatever its format: a gigabyte takes no more memory than a page."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from specstore_service.domain.sources import Source
from specstore_service.operations import delimited, documents, spreadsheets
from specstore_service.operations.limits import BATCH_ROWS, MAX_COLUMNS, Unreadable, too_many_columns
from specstore_service.operations.pipeline_context import PipelineFailed

_SPREADSHEETS, _DOCUMENTS = ("xlsx", "xlsm"), ("json",)
_OF_LINES = ("csv", "tsv", "tab", "txt", "dat", "")

Rows = Iterator[list[Any]]
Batches = Iterator[list[list[Any]]]


@contextmanager
def read_batches(source: Source, path: Path | None, unpacked_bytes: int) -> Iterator[Batches]:
    """Yield the rows from the headers on, without empty ones at the end. Raises PipelineFailed, also while reading."""
    with _translate_errors(source.name), _rows(source, path, unpacked_bytes) as rows:
        below: Rows = islice(rows, source.tabulator.headers - 1, None)
        first = next(below, None)
        if first is None:
            raise PipelineFailed(f"{source.name}: there is no row {source.tabulator.headers} with headers")
        if path is not None and source.format in _SPREADSHEETS:
            # Empty cells at the end of a row are not kept by a spreadsheet.
            below = (row + [None] * (len(first) - len(row)) if row else row for row in below)
        yield _within(source.name, _batches(chain([first], below), source.tabulator.headers))


def _within(name: str, batches: Batches) -> Batches:
    """The reader's own words for what is wrong, wherever it is noticed."""
    with _translate_errors(name):
        yield from batches


@contextmanager
def _translate_errors(name: str) -> Iterator[None]:
    try:
        yield
    except UnicodeError:
        raise PipelineFailed(f"{name}: is not text in UTF-8") from None
    except Unreadable as error:
        raise PipelineFailed(f"{name}: {error}") from None
    except (RecursionError, json.JSONDecodeError):
        raise PipelineFailed(f"{name}: cannot be read as what its format says") from None


def _batches(rows: Rows, number: int) -> Batches:
    """`number` is that of the first row."""
    blank = 0
    while batch := list(islice(rows, BATCH_ROWS)):
        _reject_wide_rows(batch, number)
        number += len(batch)
        kept = len(batch)
        while kept and not any(cell not in (None, "") for cell in batch[kept - 1]):
            kept -= 1
        if kept:
            # What was held back was not at the end after all.
            while blank:
                yield [[]] * min(blank, BATCH_ROWS)
                blank -= min(blank, BATCH_ROWS)
            yield batch[:kept]
        blank += len(batch) - kept


def _reject_wide_rows(batch: list[list[Any]], number: int) -> None:
    if max(map(len, batch)) > MAX_COLUMNS:
        wide = next(position for position, row in enumerate(batch) if len(row) > MAX_COLUMNS)
        raise too_many_columns(f"row {number + wide}")


@contextmanager
def _rows(source: Source, path: Path | None, unpacked_bytes: int) -> Iterator[Rows]:
    names = [field["name"] for field in source.schema["fields"]] if source.schema else []
    if path is None:
        yield documents.read_rows(lambda: source.rows or [], names)
    elif source.format in _SPREADSHEETS:
        with spreadsheets.read_rows(path, source.tabulator.sheet, unpacked_bytes) as rows:
            yield rows
    elif source.format in _DOCUMENTS:
        yield documents.read_file_rows(path, names, unpacked_bytes // 4)
    elif source.format in _OF_LINES:
        with delimited.read_rows(path, "\t" if source.format in ("tsv", "tab") else ",") as rows:
            yield rows
    else:
        raise Unreadable(f"the format {source.format} is not one of csv, tsv, xlsx and json")
