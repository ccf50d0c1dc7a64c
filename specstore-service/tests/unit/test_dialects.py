"""Each property of a dialect changes how rows are read exactly as Table Dialect states."""

import io
import json
import resource
import tracemalloc

import openpyxl
import pytest

from specstore_service.operations import row_batches, table_rows, text_lines
from specstore_service.operations.pipeline_context import PipelineFailed
from specstore_service.operations.table_rows import RowNumbers

MAX_UNPACKED_BYTES = 10_000_000


def a_schema(*names, **properties):
    return {"fields": [{"name": name} for name in names], **properties}


DIALECTS = {
    "delimiter": ({"delimiter": ";"}, "a;b\n1,5;2\n", [["a", "b"], ["1,5", "2"]]),
    "delimiter tab": ({"delimiter": "\t"}, "a\tb\n1,5\t2\n", [["a", "b"], ["1,5", "2"]]),
    "delimiter of two characters": (
        {"delimiter": "||"},
        'a||b\n1|5||2\n"3||4"||5\n',
        [["a", "b"], ["1|5", "2"], ["3||4", "5"]],
    ),
    "quoteChar": ({"quoteChar": "'"}, "a,b\n'x,''y',\"z\"\n", [["a", "b"], ["x,'y", '"z"']]),
    "no quoteChar": ({"quoteChar": ""}, 'a,b\n"x,y"\n', [["a", "b"], ['"x', 'y"']]),
    "null as quoteChar": ({"quoteChar": None}, 'a,b\n"x,y"\n', [["a", "b"], ['"x', 'y"']]),
    "doubleQuote": ({"doubleQuote": True}, 'a\n"x""y"\n', [["a"], ['x"y']]),
    "no doubleQuote": ({"doubleQuote": False}, 'a,b\n"x"y",1\n', [["a", "b"], ['xy"', "1"]]),
    "escapeChar": ({"escapeChar": "|"}, "id,name\n1,apple|,fruits\n", [["id", "name"], ["1", "apple,fruits"]]),
    "escapeChar in quotes": (
        {"escapeChar": "\\", "doubleQuote": False},
        'a,b\n"x\\"y, z",1\n',
        [["a", "b"], ['x"y, z', "1"]],
    ),
    "escapeChar that is quoteChar": ({"escapeChar": '"'}, 'a\n"x""y"\n', [["a"], ['x"y']]),
    "lineTerminator": (
        {"lineTerminator": ";"},
        "id,name;1,apple;2,ora\nnge",
        [["id", "name"], ["1", "apple"], ["2", "ora\nnge"]],
    ),
    "lineTerminator in quotes": ({"lineTerminator": ";"}, 'a,b;"x;y",\r;', [["a", "b"], ["x;y", "\r"]]),
    "lineTerminator of two characters": ({"lineTerminator": "|\n"}, "a,b|\n1\n,2|\n", [["a", "b"], ["1\n", "2"]]),
    "lineTerminator LF": ({"lineTerminator": "\n"}, "a,b\n1\r,2\r\n3,4\n", [["a", "b"], ["1\r", "2"], ["3", "4"]]),
    "lineTerminator CRLF": ({"lineTerminator": "\r\n"}, "a,b\n1\r,2\r\n", [["a", "b"], ["1\r", "2"]]),
    "lineTerminator CR": ({"lineTerminator": "\r"}, "a,b\r1\n,2\r\n3,4\r", [["a", "b"], ["1\n", "2"], ["3", "4"]]),
    "nullSequence": ({"nullSequence": "NA"}, "id,name\n1,apple\n2,NA\n", [["id", "name"], ["1", "apple"], ["2", ""]]),
    "nullSequence that is escaped": (
        {"nullSequence": "\\N", "escapeChar": "\\"},
        "a,b\n\\N,N\n\\\\N,x\\N\n",
        [["a", "b"], ["", "N"], ["\\N", "xN"]],
    ),
    "skipInitialSpace": ({"skipInitialSpace": True}, 'id, name\n1, "a,b"\n', [["id", "name"], ["1", "a,b"]]),
    "no skipInitialSpace": ({"skipInitialSpace": False}, "id, name\n1, x\n", [["id", " name"], ["1", " x"]]),
    "header": ({"header": True}, "a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
    "no header": (
        {"header": False},
        "1,apple\n2,orange\n",
        [["field1", "field2"], ["1", "apple"], ["2", "orange"]],
    ),
    "headerRows": ({"headerRows": [2]}, "title\na,b\n1,2\n", [["a", "b"], ["1", "2"]]),
    "headerRows of two lines": (
        {"headerRows": [1, 2]},
        "fruit\nid,name\n1,apple\n",
        [["fruit id", "fruit name"], ["1", "apple"]],
    ),
    "headerJoin": (
        {"headerRows": [1, 3], "headerJoin": "-"},
        "x,,y,z\nignored\na,b,c,z\n1,2,3,4\n",
        [["x-a", "x-b", "y-c", "z"], ["1", "2", "3", "4"]],
    ),
    "commentRows": ({"commentRows": [2]}, "a,b\n#c\n1,2\n", [["a", "b"], ["1", "2"]]),
    "commentRows above the headers": ({"commentRows": [1]}, "c\na,b\n1,2\n", [["a", "b"], ["1", "2"]]),
    "commentChar": (
        {"commentChar": "#"},
        '# "x\na,b\n#c,"d\n1,2\n"#3",4\n 5,#6\n#',
        [["a", "b"], ["1", "2"], ["#3", "4"], [" 5", "#6"]],
    ),
    "commentChar of two characters": ({"commentChar": "//"}, "a\n//x\n/y\n", [["a"], ["/y"]]),
    "commentChar in quotes": ({"commentChar": "#"}, 'a\n"x\n#y"\n', [["a"], ["x\n#y"]]),
    "csv of frictionless": ({"csv": {"delimiter": ";"}, "header": False}, "1;2\n", [["field1", "field2"], ["1", "2"]]),
    "metadata": ({"$schema": "https://x.org/d.json", "csvddfVersion": 1.2, "title": "x"}, "a\n1\n", [["a"], ["1"]]),
    "properties of other formats": ({"sheetNumber": 2, "itemType": "array"}, "a\n1\n", [["a"], ["1"]]),
}


@pytest.mark.parametrize(("dialect", "content", "rows"), DIALECTS.values(), ids=DIALECTS)
def test_property_of_a_dialect_changes_the_rows(read_resource, dialect, content, rows):
    assert read_resource(content, dialect=dialect) == rows


@pytest.mark.parametrize("characters", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(("dialect", "content", "rows"), DIALECTS.values(), ids=DIALECTS)
def test_rows_are_independent_of_the_size_of_the_chunks(read_resource, monkeypatch, characters, dialect, content, rows):
    monkeypatch.setattr(text_lines, "_CHUNK_CHARACTERS", characters)
    assert read_resource(content, dialect=dialect) == rows


def test_file_without_headers_has_the_names_of_its_schema(read_resource):
    schema = a_schema("id", "name")
    dialect = {"header": False}
    assert read_resource("1,a\n2,b\n", dialect=dialect, schema=schema) == [["id", "name"], ["1", "a"], ["2", "b"]]
    assert read_resource("1,a,x\n", dialect=dialect, schema=schema) == [["id", "name", "field3"], ["1", "a", "x"]]
    assert read_resource("", dialect=dialect, schema=schema) == [["id", "name"]]
    with pytest.raises(PipelineFailed, match=r"^reds: must have at least one row$"):
        read_resource("", dialect=dialect)


def test_header_case_may_be_ignored(read_resource):
    for dialect in ({"headerCase": False}, {"caseSensitiveHeader": False}):
        assert read_resource("ID,Other\n1,2\n", dialect=dialect, schema=a_schema("id")) == [["id", "Other"], ["1", "2"]]
    assert read_resource("ID\n1\n", schema=a_schema("id"))[0] == ["ID"]


def test_null_sequence_becomes_a_missing_value_of_the_schema(read_resource):
    schema = a_schema("a", missingValues=[{"value": "-", "label": "unknown"}])
    assert read_resource("a\nNA\n", dialect={"nullSequence": "NA"}, schema=schema) == [["a"], ["-"]]


@pytest.mark.parametrize(
    ("dialect", "content", "message"),
    [
        ({"commentChar": "#"}, '#x\na\n#y\n"1"x\n', "line 4: ',' expected after"),
        ({"headerRows": [3]}, "a\n1\n", "header row 3 not found"),
        ({"commentChar": "#"}, "#a\n", "header row 1 not found"),
        ({"lineTerminator": ";"}, "a\n\ufdd0;", "must not contain the code points"),
    ],
)
def test_data_that_contradicts_its_dialect_is_rejected(read_resource, dialect, content, message):
    with pytest.raises(PipelineFailed, match=f"^reds: {message}"):
        read_resource(content, dialect=dialect)


@pytest.mark.parametrize(
    "dialect",
    [{"delimiter": "||"}, {"quoteChar": "'"}, {"quoteChar": ""}, {"escapeChar": "\\"}, {"doubleQuote": False}],
)
def test_columns_are_counted_as_the_dialect_separates_them(read_resource, dialect):
    mark, quote = dialect.get("delimiter", ","), dialect.get("quoteChar", '"')
    row = mark.join(f"{quote}{number}{quote}" for number in range(2000))
    assert read_resource(row, dialect=dialect) == [[str(number) for number in range(2000)]]
    with pytest.raises(PipelineFailed, match="row 1 has more than 2000 columns"):
        read_resource(row + mark, dialect=dialect)


def test_delimiters_that_are_escaped_or_quoted_do_not_count_as_columns(read_resource):
    assert read_resource("a,b" + "\\," * 5000, dialect={"escapeChar": "\\"}) == [["a", "b" + "," * 5000]]
    assert read_resource("a,'b" + "," * 5000 + "'", dialect={"quoteChar": "'"}) == [["a", "b" + "," * 5000]]


def a_workbook(**sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("dialect", "rows"),
    [
        ({}, [["a"], [1]]),
        ({"sheetNumber": 2}, [["b", "c"], ["# x", 2], [3, 4]]),
        ({"sheetName": "Second"}, [["b", "c"], ["# x", 2], [3, 4]]),
        ({"excel": {"sheet": "Second"}}, [["b", "c"], ["# x", 2], [3, 4]]),
        ({"excel": {"sheet": 2}, "commentChar": "#"}, [["b", "c"], [3, 4]]),
        ({"sheetNumber": 2, "commentRows": [1, 2]}, [[3, 4]]),
        ({"sheetNumber": 2, "header": False}, [["field1", "field2"], ["b", "c"], ["# x", 2], [3, 4]]),
    ],
)
def test_dialect_selects_sheet_headers_and_comments_of_a_spreadsheet(read_resource, dialect, rows):
    content = a_workbook(First=[["a"], [1]], Second=[["b", "c"], ["# x", 2], [3, 4]])
    assert read_resource(content, path="reds.xlsx", dialect=dialect) == rows


ITEMS = [{"name": "apple", "id": 1, "count": 2}, {"id": 2, "name": "orange", "count": 5}]


@pytest.mark.parametrize("is_inline", [True, False])
@pytest.mark.parametrize(
    ("items", "dialect", "rows"),
    [
        (ITEMS, {"itemKeys": ["id", "name"]}, [["id", "name"], [1, "apple"], [2, "orange"]]),
        (ITEMS, {"json": {"keyed": True, "keys": ["x", "id"]}}, [["x", "id"], [None, 1], [None, 2]]),
        (ITEMS, {"itemType": "object", "header": False}, [["name", "id", "count"], ["apple", 1, 2], ["orange", 2, 5]]),
        ([["a"], [1]], {"itemType": "array"}, [["a"], [1]]),
        ([["x"], [1]], {"header": False}, [["field1"], ["x"], [1]]),
        ([["#x"], [1]], {"commentChar": "#", "headerRows": [2]}, [["#x"], [1]]),
    ],
)
def test_dialect_of_structured_data_selects_keys_and_headers(read_resource, is_inline, items, dialect, rows):
    if is_inline:
        assert read_resource(data=items, dialect=dialect) == rows
    else:
        properties = {"path": "reds.json", "type": "table", "dialect": dialect}
        assert read_resource(json.dumps(items, indent=1), **properties) == rows


@pytest.mark.parametrize(
    ("items", "dialect"),
    [(ITEMS, {"itemType": "array"}), ([["a"]], {"itemType": "object"}), ([["a"]], {"itemKeys": ["a"]})],
)
def test_structured_data_of_another_type_than_its_dialect_states_is_rejected(read_resource, items, dialect):
    with pytest.raises(PipelineFailed, match=r"^reds: the rows must be (objects|arrays), as the dialect states$"):
        read_resource(data=items, dialect=dialect)


@pytest.mark.parametrize(
    ("parts", "dialect", "rows"),
    [
        (["a,b\n1,2\n", "3,4\n"], {}, [["a", "b"], ["1", "2"], ["3", "4"]]),
        (["a,b\n1,2", "a,b\n3,4", "a,b\n"], {}, [["a", "b"], ["1", "2"], ["3", "4"]]),
        (["a,b\n", "5,6\r\n"], {}, [["a", "b"], ["5", "6"]]),
        (["1,2\n", "1,2\n"], {"header": False}, [["field1", "field2"], ["1", "2"], ["1", "2"]]),
        (["t\na,b\n1,2\n", "t\na,b\n3,4"], {"headerRows": [2]}, [["a", "b"], ["1", "2"], ["3", "4"]]),
        (["t\na,b\n1,2\n", "t\n3,4"], {"headerRows": [2]}, [["a", "b"], ["1", "2"], ["t"], ["3", "4"]]),
        (["#x\na\n1\n", "a\n#y\n2\n"], {"commentChar": "#"}, [["a"], ["1"], ["2"]]),
        (["a\n1\n", ""], {}, [["a"], ["1"]]),
    ],
)
def test_parts_are_read_as_one_table(read_resource, parts, dialect, rows):
    paths = [f"{number}.csv" for number in range(len(parts))]
    assert read_resource(*parts, path=paths, dialect=dialect) == rows


def test_rows_have_the_numbers_of_the_source(read_resource):
    numbers = RowNumbers()
    parts = ("#x\n#y\na\n1\n#z\n2\n", "#t\na\n3\n")
    rows = read_resource(*parts, path=["0.csv", "1.csv"], dialect={"commentChar": "#"}, numbers=numbers)
    assert rows == [["a"], ["1"], ["2"], ["3"]]
    assert [numbers.source_number(number) for number in (1, 2, 3, 4)] == [3, 4, 6, 9]
    read_resource("1\n2\n", dialect={"header": False}, numbers=numbers)
    assert [numbers.source_number(number) for number in (2, 3)] == [1, 2]
    read_resource("t\na\n1\n", dialect={"headerRows": [2]}, numbers=numbers)
    assert numbers.source_number(2) == 3


def test_many_parts_are_read_with_few_open_files(read_resource):
    parts = ["a\n", *(f"{number}\n" for number in range(299))]
    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard_limit))
    try:
        assert len(read_resource(*parts, path=[f"{number}.csv" for number in range(300)])) == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, hard_limit))


@pytest.mark.slow
@pytest.mark.parametrize(
    "dialect",
    [
        {"lineTerminator": ";"},
        {"lineTerminator": "\n"},
        {"delimiter": "||"},
        {"nullSequence": "x"},
    ],
)
def test_memory_does_not_depend_on_the_size_of_the_source(tmp_path, monkeypatch, source_of, dialect):
    monkeypatch.setattr(text_lines, "_CHUNK_CHARACTERS", 16 * 1024)
    end = dialect.get("lineTerminator", "\n")
    row = f"x{dialect.get('delimiter', ',')}a\rb{end}".replace("\r", "\r" if end == "\n" else "")
    path = tmp_path / "data"
    path.write_bytes(f"a,b{end}{row}{row}#{end}".encode() * 20_000)
    tracemalloc.start()
    try:
        with row_batches.read_batches(source_of(dialect=dialect), path, MAX_UNPACKED_BYTES) as batches:
            assert sum(map(len, batches)) > 40_000
        assert tracemalloc.get_traced_memory()[1] < 512 * 1024
    finally:
        tracemalloc.stop()


def test_too_many_separate_comments_are_rejected(read_resource, monkeypatch):
    monkeypatch.setattr(table_rows, "_MAX_COMMENT_GROUPS", 2)
    assert len(read_resource("a\n#\n#\n1\n#\n2\n", dialect={"commentChar": "#"})) == 3
    with pytest.raises(PipelineFailed, match=r"^reds: comments must be in at most 2 separate groups$"):
        read_resource("a\n#\n1\n#\n2\n#\n3\n", dialect={"commentChar": "#"})
