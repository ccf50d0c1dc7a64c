"""JSON files contain exact values, as the schema defines them."""

import datetime
import json
from decimal import Decimal

import pytest

from specstore_service.domain.sources import Source
from specstore_service.domain.specs import Tabulator
from specstore_service.operations import json_files
from specstore_service.operations.pipeline_context import HashingWriter, PipelineFailed

PRECISE = "123456789012345678.99"


def a_source(schema=None, format_="csv"):
    return Source("reds", None, None, "reds", None, format_, schema, Tabulator(), True)


@pytest.fixture
def write(tmp_path):
    def write(*batches, writer=HashingWriter, **source):
        with writer(tmp_path / "output") as output:
            count = json_files.write_json(output, a_source(**source), iter(batches))
        text = (tmp_path / "output").read_text()
        assert count == len(json.loads(text))
        return text

    return write


@pytest.fixture
def write_cell(write):
    """Write a cell of a field, and return it as the JSON file contains it."""

    def write_cell(cell, type_="any", **field):
        text = write([["a"], [cell]], schema={"fields": [{"name": "a", "type": type_, **field}]})
        return text.removeprefix('[\n{"a": ').removesuffix("}\n]\n")

    return write_cell


@pytest.mark.parametrize(
    ("cell", "type_", "text"),
    [
        (PRECISE, "number", PRECISE),
        ("12.50", "number", "12.50"),
        ("1E+999999999", "number", "1E+999999999"),
        ("-1e-999999999", "number", "-1E-999999999"),
        (" 7 ", "integer", "7"),
        ("9" * 40, "integer", "9" * 40),
        (Decimal(PRECISE), "number", PRECISE),
        (0.1, "number", "0.1"),
        ("INF", "number", '"Infinity"'),
        ("true", "boolean", "true"),
        ("1", "boolean", "true"),
        (f'{{"a": [{PRECISE}, null]}}', "object", f'{{"a": [{PRECISE}, null]}}'),
        ({"a": Decimal(PRECISE)}, "object", f'{{"a": {PRECISE}}}'),
        (f"[{PRECISE}]", "array", f"[{PRECISE}]"),
        ("2020-12-31", "date", '"2020-12-31"'),
        (datetime.datetime(2020, 12, 31), "date", '"2020-12-31"'),
        (datetime.datetime(2020, 12, 31), "datetime", '"2020-12-31T00:00:00"'),
        ("", "string", "null"),
        (None, "string", "null"),
        ('say "x"\r\n\u2028', "string", '"say \\"x\\"\\r\\n\u2028"'),
        (5, "string", "5"),
        (Decimal("2.50"), "any", "2.50"),
        ("2.50", "any", '"2.50"'),
        ("x", "integer", '"x"'),
        ("NaN", "object", '"NaN"'),
    ],
)
def test_cell_has_the_exact_value_of_its_type(write_cell, cell, type_, text):
    assert write_cell(cell, type_) == text


def test_number_of_a_field_for_floats_keeps_its_digits(write_cell):
    assert write_cell("0.10000000000000000001", "number", floatNumber=True) == "0.10000000000000000001"


def test_number_with_group_and_decimal_characters_is_a_number(write_cell):
    assert write_cell("1.234,50", "number", groupChar=".", decimalChar=",") == "1234.50"


def test_objects_of_several_batches_form_one_list(write):
    assert write([["a", "b"], ["1", "2"]], [["3", "4"], ["5"]]) == (
        '[\n{"a": "1", "b": "2"},\n{"a": "3", "b": "4"},\n{"a": "5", "b": null}\n]\n'
    )


def test_table_without_rows_is_an_empty_list(write):
    assert write([["a"]]) == "[\n]\n"


def test_repeated_column_names_are_rejected(write):
    with pytest.raises(PipelineFailed, match=r"^reds: column names must not be repeated$"):
        write([["a", "a"], ["1", "2"]])


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"12.50", b"12.51"), (b"true", b"null"), (b'"x"', b'"y"'), (b'"b"', b'"c"'), (b"}", b""), (b"{", b"[{")],
)
def test_file_with_other_contents_than_were_written_fails_the_pipeline(write, old, new):
    class Writer(HashingWriter):
        def write(self, data):
            super().write(bytes(data).replace(old, new))
            return len(data)

    fields = [{"name": "a", "type": "number"}, {"name": "b", "type": "boolean"}, {"name": "c", "type": "string"}]
    with pytest.raises(PipelineFailed, match="does not contain the rows that were written, from row 1 on"):
        write([["a", "b", "d"], ["12.50", "true", "x"]], schema={"fields": fields}, writer=Writer)
