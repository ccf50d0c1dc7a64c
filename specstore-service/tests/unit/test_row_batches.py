"""Rows of sources are read within limits, or rejected with an explanation."""

import errno
import io
import zipfile
from decimal import Decimal

import openpyxl
import pytest

from specstore_service.domain.sources import Source
from specstore_service.domain.specs import Tabulator
from specstore_service.operations import delimited, documents, row_batches, spreadsheets
from specstore_service.operations.pipeline_context import PipelineFailed

MAX_UNPACKED_BYTES = 10_000_000


def a_source(format_="csv", rows=None, headers=1, sheet=1, schema=None):
    return Source("reds", None, None, "reds", rows, format_, schema, Tabulator(headers=headers, sheet=sheet), True)


@pytest.fixture
def read(tmp_path):
    def read(content, **options):
        path = tmp_path / "data"
        path.write_bytes(content)
        with row_batches.read_batches(a_source(**options), path, MAX_UNPACKED_BYTES) as batches:
            return [row for batch in batches for row in batch]

    return read


def a_workbook(*rows, **cells):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for coordinate, value in cells.items():
        book.active[coordinate] = value
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        (b"a,b\r\n1,2\r\n", [["a", "b"], ["1", "2"]]),
        (b"a,b\r1,2", [["a", "b"], ["1", "2"]]),
        (b"a,b\n1,2\r\n3,4\r5,6", [["a", "b"], ["1", "2"], ["3", "4"], ["5", "6"]]),
        ("\ufeffä,b\n1,\n".encode(), [["ä", "b"], ["1", ""]]),
        ("a,b\n1,ü\n".encode("utf-16"), [["a", "b"], ["1", "ü"]]),
        (b'a,b\n"x\ny","z""q"\n', [["a", "b"], ["x\ny", 'z"q']]),
        (b"a\n", [["a"]]),
        (b"a,b\n1,2\n\n,\n\n", [["a", "b"], ["1", "2"]]),
        (b"a,b\n1,2\n\n3,4\n", [["a", "b"], ["1", "2"], ["3", "4"]]),
        (b'a,b\n"",\n ,\n', [["a", "b"], [" ", ""]]),
        (b"a,b\n1\n2,3,4\n", [["a", "b"], ["1"], ["2", "3", "4"]]),
        (b"a,b\n=cmd|x,@SUM\n", [["a", "b"], ["=cmd|x", "@SUM"]]),
    ],
)
def test_delimited_text_is_read_as_rows(read, content, rows):
    assert read(content) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "header row 1 not found"),
        (b"a,b\n\xff\xfe\xfa\n", "must be valid UTF-8"),
        ("é,b\n".encode("latin-1"), "must be valid UTF-8"),
        (b'a,b\n"1,2\n' + b"3,4\n" * 10, "line 12: unexpected end of data"),
        (b'a,b\n"1"x,2\n', "line 2: ',' expected after"),
        (b"a,b\n" + b"x" * 18_000_000 + b"\n", "a line is longer than"),
        (b'a,b\n"' + b"x" * 1000 + b"\n" + (b"y" * 100_000 + b"\n") * 170, "field larger than field limit"),
    ],
)
def test_malformed_delimited_text_is_rejected(read, content, message):
    with pytest.raises(PipelineFailed, match=f"^reds: .*{message}"):
        read(content)


@pytest.mark.slow
def test_unclosed_quote_is_rejected_at_the_batch_limit(read, monkeypatch):
    monkeypatch.setattr(delimited, "_MAX_BATCH_CHARACTERS", 2_000_000)
    message = "200 consecutive rows must have at most 2000000 characters; a quote may not be closed$"
    with pytest.raises(PipelineFailed, match=f"^reds: row 2: {message}"):
        read(b'a\n"' + b"x\ny," * 600_000)
    with pytest.raises(PipelineFailed, match=f"^reds: row 3: {message}"):
        read(b"a\n" + (b'"' + b"x\ny," * 300_000 + b'"\n') * 2)
    assert len(read(b"a\n" + b'"x\ny"\n' * 500_000)) == 500_001


def test_blank_rows_are_dropped(read):
    assert read(b"a\n" + b"\n" * 1000 + b"1\n" + b"\n" * 1000) == [["a"], ["1"]]


def test_blank_headers_are_rejected(read):
    with pytest.raises(PipelineFailed, match=r"^reds: the headers must not be blank$"):
        read(b",\n1,2\n")


def test_headers_may_be_in_a_later_row(read):
    assert read(b"title\n\na,b\n1,2\n", headers=3) == [["a", "b"], ["1", "2"]]
    with pytest.raises(PipelineFailed, match="header row 9 not found"):
        read(b"a\n1\n", headers=9)


def test_tsv_and_json_are_read(read):
    assert read(b"a\tb\n1,5\t2\n", format_="tsv") == [["a", "b"], ["1,5", "2"]]
    assert read(b'[{"a": 1}, {"b": null, "a": "x"}]', format_="json") == [["a", "b"], [1, None], ["x", None]]
    assert read(b'[["a"], [1]]', format_="json") == [["a"], [1]]


@pytest.mark.parametrize(
    "content", [b"{}", b'{"a": [1]}', b"[1, 2]", b'[{"a": 1}, [2]]', b"[", b"", b"[" * 100_000, b"x", b"1"]
)
def test_json_that_is_not_a_table_is_rejected(read, content):
    with pytest.raises(PipelineFailed, match="reds: "):
        read(content, format_="json")


@pytest.mark.parametrize("padding", [0, 1_500_000])
@pytest.mark.parametrize("row", ['{"a": [%s]}', "[%s]"])
def test_integer_with_too_many_digits_is_rejected(read, row, padding):
    content = "[" + ",".join(row % digits for digits in ("1", " " * padding + "1" * 4301, "1")) + "]"
    with pytest.raises(PipelineFailed, match="reds: row 2: integers must have at most 4300 digits"):
        read(content.encode(), format_="json")


@pytest.mark.parametrize("padding", [0, 1_500_000])
@pytest.mark.parametrize("number", ["1e4300", "1e5000", "1e-5000", "1e99999999999999999999", "0." + "1" * 5000])
def test_number_with_too_many_digits_is_rejected(read, number, padding):
    with pytest.raises(PipelineFailed, match=r"reds: the number .* must have at most 4300 digits"):
        read(f"[[1],{' ' * padding}[{number}]]".encode(), format_="json")


def test_json_numbers_are_exact(read):
    rows = read(b'[{"a": 123456789012345678.99, "b": [0.1]}, {"a": 12.50, "b": 7}]', format_="json")
    assert rows == [["a", "b"], [Decimal("123456789012345678.99"), [Decimal("0.1")]], [Decimal("12.50"), 7]]


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_json_constants_that_the_standard_lacks_are_rejected(read, constant):
    with pytest.raises(PipelineFailed, match=r"reds: must be valid JSON: .* is not allowed"):
        read(b"[[1],[" + constant + b"]]", format_="json")


def test_json_row_number_is_correct_across_windows(read, monkeypatch):
    monkeypatch.setattr(documents, "_WINDOW_CHARACTERS", 10_000)
    with pytest.raises(PipelineFailed, match="reds: row 20001: integers must have"):
        read(b"[" + b"[1] ,\n" * 20_000 + b"[" + b"1" * 4301 + b"]]", format_="json")


def test_json_above_the_maximum_size_is_rejected(read):
    with pytest.raises(PipelineFailed, match="JSON must have at most"):
        read(b"[" + b" " * 3_000_000 + b"]", format_="json")


@pytest.mark.parametrize("format_", ["parquet", "xls", "ods", "zip"])
def test_unsupported_format_is_rejected_with_its_name(read, format_):
    with pytest.raises(PipelineFailed, match=f"the format must be csv, tsv, xlsx or json, not {format_}"):
        read(b"x", format_=format_)


def test_sheet_is_selected_by_number_or_name(read):
    content = a_workbook(["id", "name", "ok"], [1, "Malbec", True], [2, None, None], [3])
    assert read(content, format_="xlsx") == [
        ["id", "name", "ok"],
        [1, "Malbec", True],
        [2, None, None],
        [3, None, None],
    ]
    with pytest.raises(PipelineFailed, match="sheet 2 not found"):
        read(content, format_="xlsx", sheet=2)
    with pytest.raises(PipelineFailed, match="sheet Prices not found"):
        read(content, format_="xlsx", sheet="Prices")
    assert read(content, format_="xlsx", sheet="Sheet")[0] == ["id", "name", "ok"]


def test_sheet_with_an_oversized_declared_dimension_is_read(read):
    rows = read(a_workbook(["a"], [1], BXX3="last"), format_="xlsx")
    assert rows[:2] == [["a"], [1]] and len(rows) == 3 and rows[2][-1] == "last"


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut"])
def test_file_that_is_not_a_spreadsheet_is_rejected(read, content):
    with pytest.raises(PipelineFailed, match="reds: "):
        read(content, format_="xlsx")


def an_archive(**parts):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_archive_without_a_workbook_is_rejected(read):
    with pytest.raises(PipelineFailed, match="spreadsheet"):
        read(an_archive(a="b"), format_="xlsx")
    with pytest.raises(PipelineFailed, match="spreadsheet"):
        read(an_archive(**{"[Content_Types].xml": "<x", "xl/workbook.xml": "<"}), format_="xlsx")


METHODS = {"deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}


def repacked(content, method):
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(file, "w", method) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return file.getvalue()


@pytest.mark.fuzz
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml"])
def test_spreadsheet_with_damaged_contents_is_rejected(read, method, part):
    content = repacked(a_workbook(["a"], [1]), method)
    assert read(content, format_="xlsx") == [["a"], [1]]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo(part)
    begin = info.header_offset + 30 + len(part)
    for start in range(begin, begin + info.compress_size - 8):
        damaged = content[:start] + b"\xff" * 8 + content[start + 8 :]
        with pytest.raises(PipelineFailed, match=r"^reds: cannot be read as a spreadsheet$"):
            read(damaged, format_="xlsx")


def test_spreadsheet_with_a_damaged_directory_is_rejected(read):
    content = a_workbook(["a"], [1])
    for needle, offset, damage in ((b"PK\1\2", 6, b"\xff"), (b"PK\1\2", 42, b"\xff\xff\xff\x7f")):
        start = content.index(needle) + offset
        with pytest.raises(PipelineFailed, match=r"^reds: cannot be read as a spreadsheet$"):
            read(content[:start] + damage + content[start + len(damage) :], format_="xlsx")


def test_storage_error_does_not_count_as_an_invalid_spreadsheet(read):
    with pytest.raises(OSError, match="disk"), spreadsheets._translate_errors():
        raise OSError(errno.EIO, "disk")


@pytest.mark.slow
def test_decompression_bomb_is_rejected_before_it_is_opened(read):
    bomb = an_archive(**{"xl/worksheets/sheet1.xml": b"\0" * 50_000_000})
    assert len(bomb) < 100_000
    with pytest.raises(PipelineFailed, match=f"more than {MAX_UNPACKED_BYTES} bytes when unpacked"):
        read(bomb, format_="xlsx")
    with pytest.raises(PipelineFailed, match="unpacked"):
        read(an_archive(**{str(number): b"" for number in range(10_001)}), format_="xlsx")


def test_recursive_xml_entities_are_rejected(read):
    content = a_workbook(["a"], [1])
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    sheet = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lollollol">{entities}]><worksheet><a>&l9;</a></worksheet>'
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            target.writestr(name, sheet if "sheet1.xml" in name else source.read(name))
    with pytest.raises(PipelineFailed, match="spreadsheet"):
        read(file.getvalue(), format_="xlsx")


def test_inline_rows_must_all_have_one_type():
    def read(rows, **options):
        with row_batches.read_batches(a_source("", rows, **options), None, MAX_UNPACKED_BYTES) as batches:
            return [row for batch in batches for row in batch]

    schema = {"fields": [{"name": "b"}, {"name": "a"}]}
    assert read([{"a": 1}, {"c": 2}], schema=schema) == [["b", "a", "c"], [None, 1, None], [None, None, 2]]
    assert read([["a"], [1]]) == [["a"], [1]]
    with pytest.raises(PipelineFailed, match="row 2: all rows must be objects, or all arrays"):
        read([["a"], {"a": 1}])


def test_list_without_rows_is_a_table_if_its_columns_are_known(read, read_resource):
    schema = {"fields": [{"name": "b"}, {"name": "a"}]}
    assert read_resource(data=[], schema=schema) == [["b", "a"]]
    assert read_resource(data=[], dialect={"itemKeys": ["x"]}) == [["x"]]
    assert read_resource(data=[], schema=schema, dialect={"itemType": "array", "header": False}) == [["b", "a"]]
    for content in (b"[]", b" [ \n] ", b"\xef\xbb\xbf[]"):
        assert read(content, format_="json", schema=schema) == [["b", "a"]]
    with pytest.raises(PipelineFailed, match="must be valid JSON"):
        read(b"[] x", format_="json", schema=schema)


def test_list_without_rows_and_columns_has_no_headers(read, read_resource):
    for dialect in ({}, {"itemType": "array"}):
        with pytest.raises(PipelineFailed, match="header row 1 not found"):
            read_resource(data=[], dialect=dialect)
    with pytest.raises(PipelineFailed, match="header row 1 not found"):
        read(b"[]", format_="json")
