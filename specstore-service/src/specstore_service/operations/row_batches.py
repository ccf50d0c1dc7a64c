"""Rows of a source in batches, for all formats: memory use does not depend on the size of the source."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from specstore_service.domain.resources import DELIMITED, DOCUMENTS, SPREADSHEETS
from specstore_service.domain.schemas import MAX_COLUMNS, null_text
from specstore_service.domain.sources import Source
from specstore_service.operations import delimited, documents, spreadsheets
from specstore_service.operations.blank_rows import is_blank
from specstore_service.operations.limits import BATCH_ROWS, Unreadable, too_many_columns
from specstore_service.operations.pipeline_context import PipelineFailed
from specstore_service.operations.table_rows import RowNumbers, SourceRows, read_table

Rows = Iterator[list[Any]]
Batches = Iterator[list[list[Any]]]
# The file of a source, or those of its parts; None if its rows are inline.
Files = Path | Sequence[Path] | None

_FIRST_ITEM = re.compile(r"\ufeff?\s*\[\s*([{\]])")


@contextmanager
def read_batches(
    source: Source,
    files: Files,
    unpacked_bytes: int,
    numbers: RowNumbers | None = None,
) -> Iterator[Batches]:
    """Yield the headers and the rows, without blank rows. Raise PipelineFailed, also during iteration.

    `numbers` is set to the numbers of the rows in the source.
    """
    numbers = numbers or RowNumbers()
    with _translate_errors(source), ExitStack() as stack:
        parts, is_keyed = _open_parts(source, files, unpacked_bytes, stack)
        table = read_table(parts, source, numbers, is_keyed=is_keyed)
        headers = next(table)
        if is_blank(headers):
            raise PipelineFailed(f"{source.name}: the headers must not be blank")
        if files is not None and source.format in SPREADSHEETS:
            # Spreadsheets omit empty cells at the end of a row.
            table = (row + [None] * (len(headers) - len(row)) if row else row for row in table)
        batches = _batches(chain([headers], table), numbers)
        yield _with_translated_errors(source, numbers.blank_rows.drop(batches))


def _with_translated_errors(source: Source, batches: Batches) -> Batches:
    with _translate_errors(source):
        yield from batches


@contextmanager
def _translate_errors(source: Source) -> Iterator[None]:
    try:
        yield
    except UnicodeError:
        raise PipelineFailed(f"{source.name}: must be valid {source.encoding or 'UTF-8'}") from None
    except Unreadable as error:
        raise PipelineFailed(f"{source.name}: {error}") from None
    except (RecursionError, json.JSONDecodeError):
        raise PipelineFailed(f"{source.name}: must be valid JSON") from None


def _batches(rows: Rows, numbers: RowNumbers) -> Batches:
    number = 1
    while batch := list(islice(rows, BATCH_ROWS)):
        _reject_wide_rows(batch, number, numbers)
        number += len(batch)
        yield batch


def _reject_wide_rows(batch: list[list[Any]], number: int, numbers: RowNumbers) -> None:
    if max(map(len, batch)) > MAX_COLUMNS:
        index = next(index for index, row in enumerate(batch) if len(row) > MAX_COLUMNS)
        raise too_many_columns(f"row {numbers.source_number(number + index)}")


def _open_parts(source: Source, files: Files, unpacked_bytes: int, stack: ExitStack) -> tuple[list[SourceRows], bool]:
    """Return the rows of each part, and whether the rows are objects."""
    paths = [files] if isinstance(files, Path) else list(files or ())
    if not paths or source.format in DOCUMENTS:
        return _document_rows(source, paths[0] if paths else None, unpacked_bytes)
    if source.format in SPREADSHEETS:
        return [stack.enter_context(spreadsheets.read_rows(paths[0], source.sheet, unpacked_bytes))], False
    if source.format not in DELIMITED:
        raise Unreadable(f"the format must be csv, tsv, xlsx or json, not {source.format}")
    delimiter = "\t" if source.format in ("tsv", "tab") else ","
    options = (delimiter, source.dialect, source.encoding, null_text(source.schema))
    first = stack.enter_context(delimited.read_rows(paths[0], *options))
    return [first, *(_further_rows(path, *options) for path in paths[1:])], False


def _further_rows(path: Path, *options: Any) -> SourceRows:
    """Open a file when its rows are needed, so that only a few of many parts are open."""
    with delimited.read_rows(path, *options) as rows:
        yield from rows


def _document_rows(source: Source, path: Path | None, unpacked_bytes: int) -> tuple[list[SourceRows], bool]:
    dialect = source.dialect
    names = dialect.keys or [field["name"] for field in (source.schema or {"fields": []})["fields"]]
    first_type = _type_of_first_item(source.rows or []) if path is None else _type_in_file(path, source)
    # A list without rows is a table if its columns are known.
    is_empty_table = first_type is None and dialect.item_type != "array" and bool(names)
    item_type = "object" if is_empty_table else first_type or "array"
    if dialect.item_type not in (None, item_type) or (dialect.keys and item_type == "array"):
        raise Unreadable(f"the rows must be {dialect.item_type or 'object'}s, as the dialect states")
    if path is None:
        rows = documents.read_rows(lambda: source.rows or [], names)
    else:
        rows = documents.read_file_rows(path, names, unpacked_bytes // 4, source.encoding)
    if is_empty_table:
        rows = chain([names], rows)
    # The keys of the dialect are the first columns.
    return [(row[: len(names)] for row in rows) if dialect.keys else rows], item_type == "object"


def _type_of_first_item(items: list[Any]) -> str | None:
    return ("object" if isinstance(items[0], dict) else "array") if items else None


def _type_in_file(path: Path, source: Source) -> str | None:
    with path.open(encoding=documents.encoding_of(path, source.encoding)) as file:
        match = _FIRST_ITEM.match(file.read(4096))
    if match is None:
        return "array"
    return "object" if match[1] == "{" else None
