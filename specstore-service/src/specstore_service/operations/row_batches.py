"""Rows of a source in batches, for all formats: memory use does not depend on the size of the source."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from specstore_service.domain.sources import Source
from specstore_service.domain.specs import MAX_COLUMNS
from specstore_service.operations import delimited, documents, spreadsheets
from specstore_service.operations.limits import BATCH_ROWS, Unreadable, too_many_columns
from specstore_service.operations.pipeline_context import PipelineFailed

_SPREADSHEETS, _DOCUMENTS = ("xlsx", "xlsm"), ("json",)
_DELIMITED = ("csv", "tsv", "tab", "txt", "dat", "")

Rows = Iterator[list[Any]]
Batches = Iterator[list[list[Any]]]


@contextmanager
def read_batches(source: Source, path: Path | None, unpacked_bytes: int) -> Iterator[Batches]:
    """Yield the rows from the headers on, without trailing empty rows. Raise PipelineFailed, also during iteration."""
    with _translate_errors(source.name), _rows(source, path, unpacked_bytes) as rows:
        table_rows: Rows = islice(rows, source.tabulator.headers - 1, None)
        headers = next(table_rows, None)
        if headers is None:
            raise PipelineFailed(f"{source.name}: header row {source.tabulator.headers} not found")
        if path is not None and source.format in _SPREADSHEETS:
            # Spreadsheets omit empty cells at the end of a row.
            table_rows = (row + [None] * (len(headers) - len(row)) if row else row for row in table_rows)
        yield _with_translated_errors(source.name, _batches(chain([headers], table_rows), source.tabulator.headers))


def _with_translated_errors(name: str, batches: Batches) -> Batches:
    with _translate_errors(name):
        yield from batches


@contextmanager
def _translate_errors(name: str) -> Iterator[None]:
    try:
        yield
    except UnicodeError:
        raise PipelineFailed(f"{name}: must be valid UTF-8") from None
    except Unreadable as error:
        raise PipelineFailed(f"{name}: {error}") from None
    except (RecursionError, json.JSONDecodeError):
        raise PipelineFailed(f"{name}: must be valid JSON") from None


def _batches(rows: Rows, number: int) -> Batches:
    """Yield the rows in batches, without empty rows at the end. `number` is the number of the first row."""
    pending_empty = 0
    while batch := list(islice(rows, BATCH_ROWS)):
        _reject_wide_rows(batch, number)
        number += len(batch)
        length = len(batch)
        while length and not any(cell not in (None, "") for cell in batch[length - 1]):
            length -= 1
        if length:
            # The pending empty rows are not at the end of the table.
            while pending_empty:
                yield [[]] * min(pending_empty, BATCH_ROWS)
                pending_empty -= min(pending_empty, BATCH_ROWS)
            yield batch[:length]
        pending_empty += len(batch) - length


def _reject_wide_rows(batch: list[list[Any]], number: int) -> None:
    if max(map(len, batch)) > MAX_COLUMNS:
        index = next(index for index, row in enumerate(batch) if len(row) > MAX_COLUMNS)
        raise too_many_columns(f"row {number + index}")


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
    elif source.format in _DELIMITED:
        with delimited.read_rows(path, "\t" if source.format in ("tsv", "tab") else ",") as rows:
            yield rows
    else:
        raise Unreadable(f"the format must be csv, tsv, xlsx or json, not {source.format}")
