"""A table with too many columns is rejected in every format before it is built, with a message stating the limit."""

import io
import json
import tracemalloc
import zipfile

import openpyxl
import pytest

from specstore_service.domain.schemas import MAX_COLUMNS
from specstore_service.domain.sources import Source
from specstore_service.domain.specs import Tabulator
from specstore_service.operations import documents, row_batches
from specstore_service.operations.pipeline_context import PipelineFailed

MILLION = 1_000_000
MAX_UNPACKED_BYTES = 400_000_000
TOO_MANY_COLUMNS = f"^reds: .* has more than {MAX_COLUMNS} columns: a table must have at most {MAX_COLUMNS}$"
MAX_PEAK_BYTES = 64 * 1024 * 1024


def a_source(format_="csv", rows=None, headers=1, schema=None):
    return Source("reds", None, None, "reds", rows, format_, schema, Tabulator(headers=headers), True)


@pytest.fixture
def read(tmp_path):
    def read(content, format_="csv", **options):
        path = tmp_path / "data"
        path.write_bytes(content)
        with row_batches.read_batches(a_source(format_, **options), path, MAX_UNPACKED_BYTES) as batches:
            return [row for batch in batches for row in batch]

    return read


@pytest.fixture
def read_rejected(read):
    """Read a table that is rejected; return the message and the peak of Python's memory in bytes until then."""

    def read_rejected(content, format_="csv", message=TOO_MANY_COLUMNS):
        tracemalloc.start()
        try:
            with pytest.raises(PipelineFailed, match=message) as caught:
                read(content, format_)
            return str(caught.value), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return read_rejected


def column_names(count):
    return [f"c{number}" for number in range(count)]


def a_sheet(row_xml):
    """Return a workbook whose sheet contains this XML as its rows."""
    book, file, wide_file = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    book.active.append(["a"])
    book.save(file)
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(wide_file, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                begin, end = content.index(b"<sheetData>"), content.index(b"</sheetData>")
                # Without a dimension element, opening the workbook reads the whole sheet.
                head = content[:begin].replace(b"dimension", b"dimensions") + b"<sheetData>"
                content = head + row_xml + content[end:]
            target.writestr(name, content)
    return wide_file.getvalue()


def to_json(value):
    return json.dumps(value).encode()


# Functions, because creating these tables takes longer than the other tests of this file.
WIDE_TABLES = {
    "csv": lambda: ",".join(column_names(MILLION)).encode() + b"\n1,2\n",
    "csv with a wide later row": lambda: b"a,b\n1,2\n" + b"," * MILLION + b"\n",
    "csv with a wide row above the headers": lambda: b"," * MILLION + b"\na,b\n",
    "csv with quoted cells": lambda: b'"a","b ""c"" d",' * (MILLION // 2) + b"\n",
    "csv with a row of many lines": lambda: b"a\n" + b'"x\ny",' * MILLION,
    "csv with columns after a cell of many delimiters": (
        lambda: b'"' + b"," * 4 * MILLION + b'\n"' + b",x" * (4 * MILLION - 1)
    ),
    "csv with columns on many lines after such a cell": (
        lambda: b'"' + b"," * 4 * MILLION + b'\n"' + (b",x" * 100_000 + b',"\n"') * 40
    ),
    "tsv": lambda: "\t".join(column_names(MILLION)).encode(),
    "csv in utf-16": lambda: ",".join(column_names(MILLION)).encode("utf-16"),
    "json arrays": lambda: to_json([column_names(MILLION)]),
    "json objects": lambda: to_json([dict.fromkeys(column_names(MILLION))]),
    "json arrays of structures": lambda: to_json([[[1, {"a": 2}], "]"] * MILLION]),
    "json objects with distinct keys": lambda: to_json([{name: 1} for name in column_names(50_000)]),
    "xlsx": lambda: a_sheet(b"<row>" + b"<c/>" * MILLION + b"</row>"),
    "xlsx with other elements": lambda: a_sheet(b"<row>" + b"<x/>" * MILLION + b"</row>"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDE_TABLES)
def test_million_columns_are_rejected_in_bounded_memory(read_rejected, name):
    _, peak = read_rejected(WIDE_TABLES[name](), name.split()[0])
    assert peak < MAX_PEAK_BYTES


@pytest.mark.slow
def test_rows_exceeding_the_column_limit_are_not_collected(read_rejected):
    masked = b'"' + b"," * MILLION + b'\n"' + b",xyz" * (MILLION - 2) + b"\n"
    _, peak = read_rejected(masked * 20)
    assert peak < 2 * MAX_PEAK_BYTES


@pytest.mark.slow
def test_line_of_a_hundred_megabytes_is_rejected_in_bounded_memory(read_rejected):
    _, peak = read_rejected(b"a,b,c," * 17_000_000)
    assert peak < MAX_PEAK_BYTES
    _, peak = read_rejected(b"a" * 100_000_000, message="a line is longer than 16777216 bytes")
    assert peak < MAX_PEAK_BYTES


def test_column_limit_error_names_the_row(read_rejected):
    assert "reds: row 3 has" in read_rejected(b"a\n1\n" + b"," * MAX_COLUMNS + b"\n")[0]
    assert "reds: row 2 has" in read_rejected(to_json([[1], column_names(MAX_COLUMNS + 1)]), "json")[0]
    assert "reds: row 1 has" in read_rejected(a_sheet(b'<row><c r="XFD1"><v>1</v></c></row>'), "xlsx")[0]


@pytest.mark.parametrize("headers", [1, 2])
def test_table_with_the_maximum_number_of_columns_is_read(read, headers):
    row, title_row = column_names(MAX_COLUMNS), ["title"]
    rows = [title_row, row, row][2 - headers :]
    lines = "\n".join(",".join(row) for row in rows).encode()
    assert read(lines, headers=headers) == [row, row]
    assert read(lines.replace(b",", b"\t"), "tsv", headers=headers) == [row, row]
    assert read(to_json(rows), "json", headers=headers) == [row, row]
    cells = "".join(f"<c t='str'><v>{name}</v></c>" for name in row)
    sheet = a_sheet(f"<row/><row>{cells}</row>".encode())
    assert read(sheet, "xlsx", headers=2) == [row]


def test_empty_formatted_cells_do_not_count_as_columns(read):
    assert read(a_sheet(b"<row><c><v>1</v></c>" + b"<c/>" * 16_000 + b"</row>"), "xlsx") == [[1]]


def test_delimiters_inside_quotes_do_not_count_as_columns(read):
    text = "1,2,3\n" * 20_000
    quoted = f'"{text}","{text}"'.encode()
    assert read(b"a,b\n" + quoted) == [["a", "b"], [text, text]]
    assert read(b'5" tape,"' + b"," * 5000 + b'"\n5" tape,"' + b"," * 5000 + b'"') == [['5" tape', "," * 5000]] * 2
    assert read(b'"a ""b"", c",' * 1999 + b"1") == [['a "b", c'] * 1999 + ["1"]]


@pytest.mark.slow
def test_commas_inside_a_json_value_do_not_count_as_columns(read):
    row = {"a": "[1,2" * 500_000, "b": [[1, 2]] * 100_000, "c": '\\"],'}
    assert read(to_json([row, row]), "json") == [["a", "b", "c"], *[list(row.values())] * 2]


@pytest.mark.parametrize(
    "rows",
    [
        [column_names(MAX_COLUMNS + 1)],
        [dict.fromkeys(column_names(MAX_COLUMNS + 1))],
        [{name: 1} for name in column_names(2001)],
    ],
)
def test_inline_rows_exceeding_the_column_limit_are_rejected(rows):
    with (
        pytest.raises(PipelineFailed, match=TOO_MANY_COLUMNS),
        row_batches.read_batches(a_source("", rows), None, MAX_UNPACKED_BYTES) as batches,
    ):
        list(batches)


@pytest.mark.slow
def test_sheet_exceeding_the_row_limit_of_its_format_is_rejected(read):
    with pytest.raises(PipelineFailed, match="has more than 1048576 rows"):
        read(a_sheet(b'<row r="1"/><row r="99999999999"/>'), "xlsx")


@pytest.mark.parametrize("window", [1, 2, 7, 1024])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_rows_are_independent_of_the_window_size(read, monkeypatch, window, encoding):
    monkeypatch.setattr(documents, "_WINDOW_CHARACTERS", window)
    rows = [{"a": 'x"]},{', "é": [1, {"b": "\\"}]}, {"a": 12.5, "é": None}, {}]
    content = json.dumps(rows, ensure_ascii=False, indent=3).encode(encoding)
    assert read(content, "json") == [["a", "é"], list(rows[0].values()), [12.5, None], [None, None]][:3]


@pytest.mark.parametrize("window", [1, 1024])
@pytest.mark.parametrize(
    "content",
    ['[["a"] ["b"]]', '[["a"],]', '[["a"]', '[["a"]]]', '[["a"]] x', '[["a"}]', '[["a]', "[[1 2]]", ' [["a"', "[,]"],
)
def test_malformed_json_is_rejected(read, monkeypatch, window, content):
    monkeypatch.setattr(documents, "_WINDOW_CHARACTERS", window)
    with pytest.raises(PipelineFailed, match="must be valid JSON"):
        read(content.encode(), "json")
