"""Tables as JSON files: a list of objects. What was written is read back before a pipeline succeeds."""

import json
from decimal import Decimal
from itertools import chain
from typing import Any, BinaryIO

from specstore_service.domain.sources import Source
from specstore_service.operations.cells import JSON_SERIALIZERS, column_names, columns_of, json_readers, json_text
from specstore_service.operations.pipeline_context import HashingWriter, OutputFile, PipelineContext, PipelineFailed
from specstore_service.operations.row_batches import Batches
from specstore_service.operations.source_cache import source_rows

# Numbers are compared exactly.
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal)


def create_json(context: PipelineContext) -> OutputFile:
    """Create a list of objects, whose numbers, booleans and structures follow the schema."""
    source = context.task.source
    with context.writer() as writer, source_rows(context, source) as batches:
        count = write_json(writer, source, batches)
    return writer.output(rows=count)


def write_json(writer: HashingWriter, source: Source, batches: Batches) -> int:
    """Write the table and read it back. Return its number of rows. Raise PipelineFailed."""
    first_batch = next(batches)
    names = column_names(source, first_batch[0])
    readers, keys = json_readers(source, names), [f"{json_text(name)}: " for name in names]
    count = 0
    with writer.path.open("rb") as file:
        for batch in chain([first_batch[1:]], batches):
            if batch:
                columns = [
                    list(map(read, cells)) for read, cells in zip(readers, columns_of(batch, len(names)), strict=True)
                ]
                writer.write(_json_lines(keys, columns, is_first=count == 0).encode())
                _check_written(file, names, columns, count)
                count += len(batch)
    writer.write(b"\n]\n" if count else b"[\n]\n")
    return count


def _json_lines(keys: list[str], columns: list[list[Any]], *, is_first: bool) -> str:
    text_of = JSON_SERIALIZERS
    pairs = [[key + text_of[type(value)](value) for value in column] for key, column in zip(keys, columns, strict=True)]
    objects = "},\n{".join(map(", ".join, zip(*pairs, strict=True)))
    return ("[\n{" if is_first else ",\n{") + objects + "}"


def _check_written(file: BinaryIO, names: list[str], columns: list[list[Any]], count: int) -> None:
    """Read the rows that were written since the last call. Raise PipelineFailed if they are others."""
    text = file.read().decode()
    try:
        rows = _DECODER.decode(f"[{text[1:]}]")
        written = list(map(list, zip(*(row.values() for row in rows), strict=True)))
    except ValueError:
        rows = written = []
    if written != columns or any(list(row) != names for row in rows):
        raise PipelineFailed(f"the JSON file does not contain the rows that were written, from row {count + 1} on")
