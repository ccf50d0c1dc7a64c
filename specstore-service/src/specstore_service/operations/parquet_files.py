"""Tables as Parquet files, typed by the schema. What was written is read back before a pipeline succeeds."""

import hashlib
from collections.abc import Iterator
from itertools import chain
from typing import Any

from specstore_service.domain.sources import Source
from specstore_service.operations.cells import column_fields, column_names, columns_of
from specstore_service.operations.parquet_columns import Column, create_column
from specstore_service.operations.pipeline_context import HashingWriter, OutputFile, PipelineContext, PipelineFailed
from specstore_service.operations.row_batches import Batches
from specstore_service.operations.source_cache import source_rows

# A row group is held in memory until it is complete.
_MAX_GROUP_BYTES, _MAX_GROUP_ROWS = 16 * 1024 * 1024, 100_000
_DIGEST_ROWS = 1000


def create_parquet(context: PipelineContext) -> OutputFile:
    source = context.task.source
    with context.writer() as writer, source_rows(context, source) as batches:
        count = write_parquet(writer, source, batches)
    return writer.output(rows=count)


def write_parquet(writer: HashingWriter, source: Source, batches: Batches) -> int:
    """Write the table and read it back. Return its number of rows. Raise PipelineFailed."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    first_batch = next(batches)
    names = column_names(source, first_batch[0])
    fields = column_fields(source, names)
    columns = [create_column(source.name, name, field) for name, field in zip(names, fields, strict=True)]
    groups = _row_groups(columns, chain([first_batch[1:]], batches))
    first_group = next(groups, None)
    # The first row group determines whether times have a time zone.
    schema = pyarrow.schema([(column.name, column.final_type()) for column in columns])
    count, digests = 0, []
    with ParquetWriter(writer, schema, compression="zstd") as parquet:
        for group in chain([first_group] if first_group else [], groups):
            table = group.cast(schema)
            parquet.write_table(table, row_group_size=len(table))
            digests.append(_digest(table))
            count += len(table)
    _check_written(writer, schema, digests)
    return count


def _row_groups(columns: list[Column], batches: Batches) -> Iterator[Any]:
    import pyarrow

    pending: list[Any] = []
    size = rows = 0
    for batch in filter(None, batches):
        cells = columns_of(batch, len(columns))
        arrays = [column.array(values) for column, values in zip(columns, cells, strict=True)]
        record_batch = pyarrow.RecordBatch.from_arrays(arrays, [column.name for column in columns])
        pending.append(record_batch)
        size, rows = size + record_batch.nbytes, rows + len(batch)
        if size >= _MAX_GROUP_BYTES or rows >= _MAX_GROUP_ROWS:
            yield pyarrow.Table.from_batches(pending)
            pending, size, rows = [], 0, 0
    if pending:
        yield pyarrow.Table.from_batches(pending)


def _digest(table: Any) -> bytes:
    digest = hashlib.sha256()
    for batch in table.combine_chunks().to_batches(max_chunksize=_DIGEST_ROWS):
        digest.update(repr(batch.to_pydict()).encode())
    return digest.digest()


def _check_written(writer: HashingWriter, schema: Any, digests: list[bytes]) -> None:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(writer.path) as file:
        groups = (file.read_row_group(index, use_threads=False) for index in range(file.num_row_groups))
        if not file.schema_arrow.equals(schema) or [_digest(group) for group in groups] != digests:
            raise PipelineFailed("the Parquet file does not contain the rows that were written")
