"""Parquet files have the types of the schema and contain the exact values."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pyarrow
import pytest
from pyarrow.parquet import ParquetFile, read_table

from specstore_service.domain.sources import Source
from specstore_service.domain.specs import Tabulator
from specstore_service.operations import parquet_files
from specstore_service.operations.pipeline_context import HashingWriter, PipelineFailed


def a_source(schema=None):
    return Source("reds", None, None, "reds", None, "csv", schema, Tabulator(), True)


@pytest.fixture
def write(tmp_path):
    def write(*batches, schema=None, writer=HashingWriter):
        with writer(tmp_path / "output") as output:
            count = parquet_files.write_parquet(output, a_source(schema), iter(batches))
        table = read_table(tmp_path / "output", use_threads=False)
        assert len(table) == count
        return table

    return write


@pytest.fixture
def write_cells(write):
    """Write cells of a field, and return the type and the values of the column."""

    def write_cells(type_, *cells, **field):
        table = write([["a"], *([cell] for cell in cells)], schema={"fields": [{"name": "a", "type": type_, **field}]})
        return table.schema.field("a").type, table.column("a").to_pylist()

    return write_cells


@pytest.mark.parametrize(
    ("field", "cells", "type_", "values"),
    [
        ("integer", ["1", "", str(2**63 - 1), str(-(2**63))], pyarrow.int64(), [1, None, 2**63 - 1, -(2**63)]),
        ("number", ["12.50", "-0.1", "1e300", "INF", 3], pyarrow.float64(), [12.5, -0.1, 1e300, float("inf"), 3.0]),
        ("boolean", ["true", "0", None], pyarrow.bool_(), [True, False, None]),
        ("date", ["2020-12-31", datetime(1, 1, 1)], pyarrow.date32(), [date(2020, 12, 31), date(1, 1, 1)]),
        ("time", ["01:02:03.5", ""], pyarrow.time64("us"), [time(1, 2, 3, 500_000), None]),
        ("year", ["2020"], pyarrow.int64(), [2020]),
        ("datetime", ["2020-01-02T03:04:05"], pyarrow.timestamp("us"), [datetime(2020, 1, 2, 3, 4, 5)]),
        (
            "datetime",
            ["", "2020-01-02T03:04:05+02:00", "2020-01-02T03:04:05Z"],
            pyarrow.timestamp("us", "UTC"),
            [None, datetime(2020, 1, 2, 1, 4, 5, tzinfo=UTC), datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)],
        ),
        ("string", ["a\r\n", "", "ü"], pyarrow.string(), ["a\r\n", None, "ü"]),
        ("any", ["1", 2, True], pyarrow.string(), ["1", "2", "true"]),
        ("yearmonth", ["2020-12"], pyarrow.string(), ["2020-12"]),
        ("geopoint", ["1.5,2"], pyarrow.string(), ["1.5,2"]),
        ("object", ['{"a":  1.50}', ""], pyarrow.string(), ['{"a": 1.50}', None]),
        ("list", ["a,b"], pyarrow.string(), ["a,b"]),
    ],
)
def test_column_has_the_type_of_its_field(write_cells, field, cells, type_, values):
    assert write_cells(field, *cells) == (type_, values)


@pytest.mark.parametrize(
    ("field", "cells", "message"),
    [
        ("integer", [str(2**63)], "9223372036854775808 must fit into 64 bits: use the type string"),
        ("integer", [str(-(2**63) - 1)], "must fit into 64 bits"),
        ("integer", ["x"], "'x' must be a valid integer"),
        ("number", ["123456789012345678.99"], "123456789012345678.99 must be exactly representable as a 64-bit float"),
        ("number", [2**53 + 1], "must be exactly representable"),
        ("number", ["1e400"], "must be exactly representable"),
        ("number", ["1e-400"], "must be exactly representable"),
        ("datetime", ["2020-01-02T03:04:05.1234567"], "must have at most 6 decimal places"),
        (
            "datetime",
            ["2020-01-02T03:04:05", "2020-01-02T03:04:05Z"],
            "must have an offset from UTC if the first value",
        ),
        ("datetime", ["0001-01-01T00:00:00+05:00"], "must be in the years 1 to 9999 in UTC"),
        ("time", ["03:04:05Z"], "must not have an offset from UTC"),
    ],
)
def test_value_that_its_type_would_change_fails_the_pipeline(write_cells, field, cells, message):
    with pytest.raises(PipelineFailed, match=f"^reds: field a: .*{message}"):
        write_cells(field, *cells)


def test_table_without_a_schema_has_strings(write):
    table = write([["a", "b"], ["1", ""], [Decimal("2.50"), None]])
    assert table.to_pydict() == {"a": ["1", "2.50"], "b": ["", None]}


def test_table_without_rows_has_its_columns(write):
    table = write([["a"]], schema={"fields": [{"name": "a", "type": "integer"}]})
    assert (len(table), table.schema.field("a").type) == (0, pyarrow.int64())


def test_rows_are_written_in_groups_of_bounded_size(write, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_files, "_MAX_GROUP_BYTES", 1_000_000)
    batches = [[["a", "b"]], *([[str(n), "x" * 1000]] * 200 for n in range(50))]
    table = write(*batches, schema={"fields": [{"name": "a", "type": "integer"}, {"name": "b", "type": "string"}]})
    assert table.column("a").to_pylist() == [n for n in range(50) for _ in range(200)]
    with ParquetFile(tmp_path / "output") as file:
        sizes = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
    assert len(sizes) == 10 and max(sizes) == 1000


def test_same_rows_produce_the_same_file(write, tmp_path):
    contents = []
    for _ in range(2):
        write([["a"], ["1"], ["2"]])
        contents.append((tmp_path / "output").read_bytes())
    assert contents[0] == contents[1]


def test_file_with_other_values_than_were_written_fails_the_pipeline(write, monkeypatch):
    written = json.loads('["x", "z"]')
    digest = parquet_files._digest
    monkeypatch.setattr(
        parquet_files,
        "_digest",
        lambda table: digest(table.set_column(0, "a", [[written.pop()]]) if written else table),
    )
    with pytest.raises(PipelineFailed, match="does not contain the rows that were written"):
        write([["a"], ["x"]])
