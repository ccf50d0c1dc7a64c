"""Tables in the output formats: csv, json and the preview."""

import csv
import datetime
import io
import json
from collections.abc import Callable
from decimal import Decimal
from itertools import chain, islice, repeat
from json.encoder import encode_basestring
from typing import Any

from specstore_service.domain.plans import CSV
from specstore_service.domain.schemas import frictionless_schema
from specstore_service.domain.sources import Source
from specstore_service.operations.pipeline_context import (
    HashingWriter,
    OutputFile,
    PipelineContext,
    PipelineFailed,
)
from specstore_service.operations.row_batches import Batches
from specstore_service.operations.source_cache import source_rows

PREVIEW_ROWS = 2000
CellSerializer = Callable[[Any], str]

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def create_csv(context: PipelineContext) -> OutputFile:
    """Create a csv file in UTF-8 with commas and uniform line ends. The cells of text formats stay unchanged."""
    source = context.task.source
    is_text = source.rows is None and source.format not in ("xlsx", "xlsm", "json")
    with context.writer() as writer, source_rows(context, source) as batches, _text_stream(writer) as text:
        count = write_csv(text, batches, is_text=is_text)
    return writer.output(rows=count)


def write_csv(text: io.TextIOBase, batches: Batches, *, is_text: bool) -> int:
    writer = csv.writer(text, lineterminator="\n")
    # The header row does not count.
    count = -1
    for batch in batches:
        # An empty line is not a row.
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
        return json.dumps(cell, ensure_ascii=False)
    return str(cell)


def create_preview(context: PipelineContext) -> OutputFile:
    task = context.task
    csv_position = task.kinds_and_targets.index((CSV, task.target))
    csv_result = next(result for result in task.results if result.position == csv_position)
    with (
        context.writer() as writer,
        _text_stream(writer) as text,
        context.objects.local_path(csv_result.object) as path,
        path.open(newline="") as file,
    ):
        csv_writer = csv.writer(text, lineterminator="\n")
        # The header row does not count.
        count = -1
        for row in islice(csv.reader(file), PREVIEW_ROWS + 1):
            csv_writer.writerow(row)
            count += 1
    return writer.output(rows=count)


def create_json(context: PipelineContext) -> OutputFile:
    """Create a list of objects, whose numbers, booleans and structures follow the schema."""
    source = context.task.source
    with context.writer() as writer, source_rows(context, source) as batches, _text_stream(writer) as text:
        count = write_json(text, source, batches)
    return writer.output(rows=count)


def write_json(text: io.TextIOBase, source: Source, batches: Batches) -> int:
    rows = chain.from_iterable(batches)
    names = [cell_text(cell) for cell in next(rows)]
    if len(set(names)) < len(names):
        raise PipelineFailed(f"{source.name}: column names must not be repeated")
    columns = [
        (f"{json_text(name)}: ", to_json) for name, to_json in zip(names, _cell_serializers(source, names), strict=True)
    ]
    count = 0
    for row in rows:
        if row:
            pairs = [key + to_json(cell) for (key, to_json), cell in zip(columns, row, strict=False)]
            text.write(("[\n{" if count == 0 else ",\n{") + ", ".join(pairs) + "}")
            count += 1
    text.write("\n]\n" if count else "[\n]\n")
    return count


def _cell_serializers(source: Source, names: list[str]) -> list[CellSerializer]:
    """Return the function that serializes the cells of each column."""
    if source.schema is None:
        return [json_text] * len(names)
    from frictionless import FrictionlessException, Schema

    try:
        schema = Schema.from_descriptor(frictionless_schema(source.schema))
    except FrictionlessException as problem:
        raise PipelineFailed(
            *(f"{source.name}: {error.note}" for error in problem.reasons or [problem.error])
        ) from None
    if schema.fields_match != "exact":
        fields = {field.name: field for field in schema.fields}
        columns = [fields.get(name) for name in names]
    else:
        columns = [*schema.fields, *repeat(None, len(names))][: len(names)]
    return [_typed_serializer(field, schema.missing_values) if field else json_text for field in columns]


_JSON_TYPES = ("integer", "number", "boolean", "year", "object", "array", "list", "geojson")


def _typed_serializer(field: Any, missing_values: list[str]) -> CellSerializer:
    """Return a function that serializes cells of a field. Invalid cells stay unchanged; the report names them."""
    missing = set(field.missing_values if field.has_defined("missing_values") else missing_values)
    parse = field.create_value_reader() if field.type in _JSON_TYPES else lambda cell: cell

    def write(cell: Any) -> str:
        if cell is None or (type(cell) is str and cell in missing):
            return "null"
        value = parse(cell)
        return json_text(cell if value is None else value)

    return write


def json_text(value: Any) -> str:
    """Serialize a value. Numbers keep all digits. Values that JSON cannot represent (infinity) become strings."""
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError):
        return encode_basestring(cell_text(value))


def _text_stream(writer: HashingWriter) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(writer, 1024 * 1024), encoding="utf-8", newline="")
