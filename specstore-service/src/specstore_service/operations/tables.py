"""Tables as they are handed on: csv, json, the first rows."""

import csv
import datetime
import io
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from json.encoder import encode_basestring as as_json_text
from typing import Any

from specstore_service.domain.sources import Source
from specstore_service.operations.copies import Failed
from specstore_service.operations.making import Made, Sink, Work
from specstore_service.operations.reading import Batches

PREVIEW_ROWS = 2000
Cell = Callable[[Any], str]


def make_csv(work: Work) -> Made:
    """UTF-8, commas, one line end: what stands in the cells stays."""
    source = work.source
    with work.sink() as sink, work.batches(source) as batches, _text(sink) as text:
        count = _write_csv(text, batches, is_text=source.rows is None and source.format not in ("xlsx", "xlsm", "json"))
    return work.made(sink, rows=count)


def _write_csv(text: io.TextIOBase, batches: Batches, *, is_text: bool) -> int:
    writer = csv.writer(text, lineterminator="\n")
    count = -1
    for batch in batches:
        # An empty line is no row.
        rows = [row for row in batch if row] if [] in batch else batch
        writer.writerows(rows if is_text else [[cell_text(cell) for cell in row] for row in rows])
        count += len(rows)
    return count


def cell_text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime.datetime):
        return cell.date().isoformat() if cell.time() == datetime.time() else cell.isoformat()
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    if isinstance(cell, dict | list):
        return _structure(cell, cell)
    return str(cell)


def make_preview(work: Work) -> Made:
    with work.sink() as sink, _text(sink) as text, work.result_of_need() as path, path.open(newline="") as given:
        writer = csv.writer(text, lineterminator="\n")
        count = -1
        for row in csv.reader(given):
            if count == PREVIEW_ROWS:
                break
            writer.writerow(row)
            count += 1
    return work.made(sink, rows=count)


def make_json(work: Work) -> Made:
    """A list of objects; numbers, booleans and structures are such where the schema says so."""
    source = work.source
    with work.sink() as sink, work.batches(source) as batches, _text(sink) as text:
        count = _write_json(text, source, batches)
    return work.made(sink, rows=count)


def _write_json(text: io.TextIOBase, source: Source, batches: Batches) -> int:
    first = next(batches)
    names, first_rows = [cell_text(cell) for cell in first[0]], first[1:]
    if len(set(names)) < len(names):
        raise Failed(f"{source.name}: two columns have the same name")
    keys = [f"{as_json_text(name)}: " for name in names]
    cells = _cells(source, len(names))
    text.write("[")
    count = 0
    for batch in _with(first_rows, batches):
        lines = []
        for row in batch:
            if row:
                pairs = [key + cell(value) for key, cell, value in zip(keys, cells, row, strict=False)]
                lines.append("{" + ", ".join(pairs) + "}")
        if lines:
            text.write((",\n" if count else "\n") + ",\n".join(lines))
        count += len(lines)
    text.write("\n]\n")
    return count


def _with(first: list[list[Any]], rest: Batches) -> Iterator[list[list[Any]]]:
    yield first
    yield from rest


def _cells(source: Source, width: int) -> list[Cell]:
    """How to write the cell of each column."""
    fields: list[Any] = []
    if source.schema:
        from frictionless import Schema

        fields = Schema.from_descriptor(source.schema).fields
    return [_typed(field) for field in fields[:width]] + [_untyped] * (width - len(fields))


_NATIVE = ("integer", "number", "boolean", "year", "object", "array", "list", "geojson")


def _typed(field: Any) -> Cell:
    """What does not conform is for the report to tell; here it stays as it is."""
    read, missing = field.create_value_reader(), set(field.missing_values)
    if field.type not in _NATIVE:
        return lambda cell: "null" if cell is None or cell in missing else _untyped(cell)

    def write(cell: Any) -> str:
        if cell is None or (isinstance(cell, str) and cell in missing):
            return "null"
        value = read(cell)
        return _untyped(cell) if value is None else _value(value, cell)

    return write


def _untyped(cell: Any) -> str:
    return _value(cell, cell)


def _value(value: Any, cell: Any) -> str:
    """Infinity and the like are no numbers in JSON."""
    if isinstance(value, str):
        return as_json_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float | Decimal):
        return str(value) if math.isfinite(value) else as_json_text(cell_text(cell))
    if value is None or isinstance(value, bool | dict | list | tuple):
        return _structure(value, cell)
    return as_json_text(cell_text(cell))


def _structure(value: Any, cell: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return as_json_text(str(cell))


def _text(sink: Sink) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(sink, 1024 * 1024), encoding="utf-8", newline="")
