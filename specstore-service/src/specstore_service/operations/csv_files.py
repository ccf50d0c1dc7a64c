"""Tables as csv files: the csv output and the preview. What was written is read back before a pipeline succeeds."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from specstore_service.domain.plans import CSV
from specstore_service.domain.resources import DELIMITED
from specstore_service.domain.sources import Source
from specstore_service.operations.cells import CellSerializer, cell_text, text_serializers
from specstore_service.operations.limits import BATCH_ROWS, MAX_CELL_BYTES
from specstore_service.operations.pipeline_context import HashingWriter, OutputFile, PipelineContext, PipelineFailed
from specstore_service.operations.row_batches import Batches
from specstore_service.operations.source_cache import source_rows

PREVIEW_ROWS = 2000
_QUOTED = re.compile(r'[",\r\n]')


def create_csv(context: PipelineContext) -> OutputFile:
    """Create a csv file in UTF-8 with commas and uniform line ends. The cells of text formats stay unchanged."""
    source = context.task.source
    with context.writer() as writer, source_rows(context, source) as batches:
        count = write_csv(writer, source, batches)
    return writer.output(rows=count)


def create_preview(context: PipelineContext) -> OutputFile:
    """Create a csv file of the first rows. It depends on the complete csv file, which therefore exists."""
    task = context.task
    csv_position = task.kinds_and_targets.index((CSV, task.target))
    csv_result = next(result for result in task.results if result.position == csv_position)
    with (
        context.writer() as writer,
        context.objects.local_path(csv_result.object) as path,
        path.open(encoding="utf-8", newline="") as file,
    ):
        csv.field_size_limit(MAX_CELL_BYTES)
        rows = islice(csv.reader(file, strict=True), PREVIEW_ROWS + 1)
        count = _write_batches(writer, iter(lambda: list(islice(rows, BATCH_ROWS)), []))
    return writer.output(rows=count)


def write_csv(writer: HashingWriter, source: Source, batches: Batches) -> int:
    """Write the table and read it back. Return its number of rows without the headers. Raise PipelineFailed."""
    return _write_batches(writer, batches if _is_text(source) else _text_batches(source, batches))


def _is_text(source: Source) -> bool:
    return source.rows is None and source.format in DELIMITED


def _text_batches(source: Source, batches: Batches) -> Iterator[list[list[str]]]:
    first_batch = next(batches)
    names = list(map(cell_text, first_batch[0]))
    serializers = text_serializers(source, names)
    yield [names, *(_text_row(serializers, row) for row in first_batch[1:])]
    for batch in batches:
        yield [_text_row(serializers, row) for row in batch]


def _text_row(serializers: list[CellSerializer], row: list[Any]) -> list[str]:
    # The report names rows with too many cells.
    extra = map(cell_text, row[len(serializers) :])
    return [*(serialize(cell) for serialize, cell in zip(serializers, row, strict=False)), *extra]


def _write_batches(writer: HashingWriter, batches: Iterable[list[list[str]]]) -> int:
    count = 0
    with writer.path.open("rb") as file:
        for batch in batches:
            text = _join(batch)
            is_plain = _is_plain(text, batch)
            if not is_plain:
                text = "".join(map(_csv_line, batch))
            writer.write(text.encode())
            written = file.read().decode()
            if written != text or not (is_plain or _parse(written) == batch):
                raise PipelineFailed(
                    f"the csv file does not contain the rows that were written, from row {count + 1} on"
                )
            count += len(batch)
    return count - 1


def _join(rows: list[list[str]]) -> str:
    return "\n".join(map(",".join, rows)) + "\n"


def _is_plain(text: str, rows: list[list[str]]) -> bool:
    """Return whether the joined rows are read as these rows: each comma and line end in the text separates cells."""
    return (
        '"' not in text
        and "\r" not in text
        and text.count("\n") == len(rows)
        and text.count(",") == sum(map(len, rows)) - len(rows)
        # An empty line would not be a row.
        and "\n\n" not in text
        and text[0] != "\n"
    )


def _csv_line(row: list[str]) -> str:
    """Return the row as a line. The quotes are explicit because Python's csv writer sets others in each version."""
    return ",".join(map(_csv_cell, row)) + "\n" if row != [""] else '""\n'


def _csv_cell(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _QUOTED.search(cell) else cell


def _parse(text: str) -> list[list[str]] | None:
    csv.field_size_limit(MAX_CELL_BYTES)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return None
