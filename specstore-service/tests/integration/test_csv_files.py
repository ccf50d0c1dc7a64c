"""Csv files are the same on every Python version and contain what was written."""

import csv
import datetime
import io
from decimal import Decimal

import pytest

from specstore_service.domain.sources import Source
from specstore_service.domain.specs import Tabulator
from specstore_service.operations import csv_files
from specstore_service.operations.limits import BATCH_ROWS
from specstore_service.operations.pipeline_context import HashingWriter, PipelineFailed


def a_source(format_="csv", rows=None, schema=None):
    return Source("reds", None, None, "reds", rows, format_, schema, Tabulator(), True)


@pytest.fixture
def write(tmp_path):
    def write(*batches, writer=HashingWriter, **source):
        with writer(tmp_path / "output") as output:
            count = csv_files.write_csv(output, a_source(**source), iter(batches))
        return count, (tmp_path / "output").read_bytes()

    return write


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (["a", "b"], b"a,b\n"),
        (["a\rb", "c"], b'"a\rb",c\n'),
        (["\r", "\n"], b'"\r","\n"\n'),
        (["a\r\nb", ""], b'"a\r\nb",\n'),
        (["a,b", 'say "x"'], b'"a,b","say ""x"""\n'),
        (['"', ","], b'"""",","\n'),
        (["", ""], b",\n"),
        ([""], b'""\n'),
        ([" a ", "\t"], b" a ,\t\n"),
        (["'x'", "\\,"], b"'x',\"\\,\"\n"),
        (["\u2028\x0b\x0c\x85", "ü"], "\u2028\x0b\x0c\x85,ü\n".encode()),
    ],
)
def test_cells_are_quoted_if_another_reader_would_split_them(write, row, line):
    assert write([["h"] * len(row), row]) == (1, b",".join([b"h"] * len(row)) + b"\n" + line)


def test_rows_of_any_width_are_read_back_unchanged(write):
    batches = [[["a", "b"]] * BATCH_ROWS, [["1"], ["1", "2", "3"], ["x\ry", '"']], [["last", "row"]]]
    count, content = write(*batches)
    rows = [row for batch in batches for row in batch]
    assert list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True)) == rows
    assert count == len(rows) - 1


def a_damaging_writer(damage):
    class Writer(HashingWriter):
        def write(self, data):
            super().write(damage(bytes(data)))
            return len(data)

    return Writer


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.replace(b'"', b""),
        lambda data: data.replace(b"2", b"3"),
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data[:-1],
        lambda data: data + b"4,5\n",
        lambda data: b"",
    ],
)
@pytest.mark.parametrize("cell", ["2", "2\r"])
def test_file_with_other_contents_than_were_written_fails_the_pipeline(write, damage, cell):
    if cell == "2" and damage(b'"') == b"":
        cell = "2,"
    with pytest.raises(PipelineFailed, match="does not contain the rows that were written, from row 1 on"):
        write([["a", "b"], ["1", cell]], writer=a_damaging_writer(damage))


def test_wrong_quoting_is_detected(write, monkeypatch):
    """The rows of Python 3.11, whose csv writer does not quote a carriage return."""
    monkeypatch.setattr(csv_files, "_csv_cell", lambda cell: cell)
    with pytest.raises(PipelineFailed, match="does not contain the rows"):
        write([["a"], ["x\ry"]])


def test_values_are_written_as_the_schema_reads_them(write):
    fields = [
        {"name": "day", "type": "date", "format": "%d/%m/%Y"},
        {"name": "ok", "type": "boolean", "trueValues": ["yes"], "falseValues": ["no"]},
        {"name": "price", "type": "number", "decimalChar": ","},
        {"name": "at", "type": "datetime"},
        {"name": "tags", "type": "list", "delimiter": ";"},
        {"name": "more", "type": "object"},
        {"name": "note", "type": "string"},
    ]
    schema = {"fields": fields, "missingValues": ["n/a"]}
    day, at = datetime.datetime(2020, 12, 31), datetime.datetime(2020, 1, 2)
    row = [day, True, Decimal("12.50"), at, ["a", "b"], {"x": Decimal("0.10")}, None]
    names = [field["name"] for field in fields]
    _, content = write([names, row], format_="xlsx", schema=schema)
    assert content.decode() == (
        ",".join(names) + '\n31/12/2020,yes,"12,50",2020-01-02T00:00:00,a;b,"{""x"": 0.10}",n/a\n'
    )


def test_values_without_a_schema_are_written_as_plain_text(write):
    row = [None, True, 1, Decimal("1.50"), datetime.datetime(2020, 1, 2), datetime.time(1, 2), [1, None], {"a": "b"}]
    _, content = write([["h"] * len(row), row], rows=[])
    assert content.decode().splitlines()[1] == ',true,1,1.50,2020-01-02,01:02:00,"[1, null]","{""a"": ""b""}"'


def test_boolean_without_texts_is_written_as_plain_text(write):
    schema = {"fields": [{"name": "a", "type": "boolean", "trueValues": [], "falseValues": []}]}
    assert write([["a"], [True]], format_="json", schema=schema) == (1, b"a\ntrue\n")


def test_invalid_values_stay_unchanged(write):
    schema = {"fields": [{"name": "a", "type": "date"}, {"name": "b", "type": "boolean"}]}
    assert write([["a", "b"], [5, "maybe"]], format_="json", schema=schema) == (1, b"a,b\n5,maybe\n")
