"""Cells of a table: their text in csv files and their values in JSON, as the schema defines them."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from specstore_service.domain.schemas import frictionless_schema
from specstore_service.domain.sources import Source
from specstore_service.operations.documents import decode_exactly
from specstore_service.operations.pipeline_context import PipelineFailed

CellReader = Callable[[Any], Any]
CellSerializer = Callable[[Any], str]

_STRUCTURES = ("object", "array", "geojson")
_JSON_TYPES = ("integer", "number", "boolean", "year", "list", *_STRUCTURES)
# Cells of these types have a format, which values of spreadsheets and JSON must be converted to.
_FORMATTED_TYPES = ("boolean", "number", "date", "time", "datetime", "list")
_CONVERSIONS: dict[str, CellReader] = {"integer": int, "number": Decimal}
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_NUMBER_FORMATS = frozenset({"bare_number", "group_char", "decimal_char"})


def column_fields(source: Source, names: list[str]) -> list[Any]:
    """Return the field of each column as frictionless reads it, None if there is none. Raise PipelineFailed."""
    if source.schema is None:
        return [None] * len(names)
    fields = _fields(source, source.schema)
    if source.schema.get("fieldsMatch", "exact") == "exact":
        return (fields + [None] * len(names))[: len(names)]
    fields_by_name = {field.name: field for field in fields}
    return [fields_by_name.get(name) for name in names]


def _fields(source: Source, schema: dict[str, Any]) -> list[Any]:
    fields: list[Any] = create_schema(source.name, schema).fields
    for field in fields:
        if field.type == "number":
            # A float would change numbers with many digits.
            field.float_number = False
    return fields


def create_schema(table: str, schema: dict[str, Any]) -> Any:
    """Return the schema as frictionless reads it. Raise PipelineFailed."""
    from frictionless import FrictionlessException, Schema

    try:
        created = Schema.from_descriptor(frictionless_schema(schema))
    except FrictionlessException as problem:
        raise PipelineFailed(*(f"{table}: {error.note}" for error in problem.reasons or [problem.error])) from None
    for field in created.fields:
        for name in _BOUNDS.intersection(field.constraints):
            # frictionless would compare the cells with it all the same.
            bound = field.create_value_reader()(field.constraints[name])
            if bound is None or (isinstance(bound, Decimal) and bound.is_nan()):
                raise PipelineFailed(f"{table}: field {field.name}: constraints.{name} must be a valid {field.type}")
    return created


def missing_values(field: Any) -> list[str]:
    """Return the texts that stand for no value in cells of a field."""
    values: list[str] = field.missing_values if field.has_defined("missing_values") else field.schema.missing_values
    return values


def cell_text(cell: Any) -> str:
    """Return the text of a cell without a schema. The text of a string is the string itself."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime.datetime):
        return cell.date().isoformat() if cell.time() == datetime.time() else cell.isoformat()
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    if isinstance(cell, dict | list):
        return json_text(json_value(cell))
    return str(cell)


def column_names(source: Source, headers: list[Any]) -> list[str]:
    """Return the headers as unique names. Raise PipelineFailed."""
    names = [cell_text(cell) for cell in headers]
    if len(set(names)) < len(names):
        raise PipelineFailed(f"{source.name}: column names must not be repeated")
    return names


def columns_of(rows: list[list[Any]], width: int) -> list[tuple[Any, ...]]:
    """Return the cells of each column. Rows that are too short are filled, and the report names them."""
    if min(map(len, rows)) < width:
        rows = [row + [None] * (width - len(row)) for row in rows]
    return list(zip(*rows, strict=False))[:width]


def text_serializers(source: Source, names: list[str]) -> list[CellSerializer]:
    """Return the function that serializes the cells of each column, so that the schema applies to the csv file."""
    return [text_serializer(field) for field in column_fields(source, names)]


def text_serializer(field: Any) -> CellSerializer:
    if field is None:
        return cell_text
    missing = missing_values(field)
    missing_text = "" if "" in missing or not missing else missing[0]
    convert = _formatter(field)

    def serialize(cell: Any) -> str:
        if isinstance(cell, str):
            return cell
        return missing_text if cell is None else cell_text(convert(cell))

    return serialize


def _formatter(field: Any) -> CellReader:
    """Return a function that formats values. It returns those unchanged that the format cannot express."""
    has_no_texts = field.type == "boolean" and not (field.true_values and field.false_values)
    if field.type not in _FORMATTED_TYPES or has_no_texts:
        return lambda cell: cell
    read, format_value = field.create_value_reader(), _value_formatter(field)

    def convert(cell: Any) -> Any:
        value = read(cell)
        if value is None:
            return cell
        text = format_value(value)
        return text if read(text) == value else cell

    return convert


def _value_formatter(field: Any) -> CellSerializer:
    if field.type == "number":
        return lambda value: str(value).replace(".", field.decimal_char)
    if field.type in ("date", "time", "datetime") and field.format in ("default", "any"):
        # The default format of frictionless omits fractions of a second.
        return lambda value: str(value.isoformat())
    format_value: CellSerializer = field.create_value_writer()
    return format_value


def json_readers(source: Source, names: list[str]) -> list[CellReader]:
    """Return the function that returns the JSON value of the cells of each column."""
    return [json_reader(field) for field in column_fields(source, names)]


def json_reader(field: Any) -> CellReader:
    """Return a function that converts cells of a field. Invalid cells stay unchanged; the report names them."""
    if field is None:
        return json_value
    missing, is_text = set(missing_values(field)), field.type not in _JSON_TYPES
    if is_text:
        parse = _formatter(field)
    elif field.type in _STRUCTURES:
        parse = _exact_structure_reader(field.create_value_reader())
    else:
        parse = _scalar_reader(field)

    def read(cell: Any) -> Any:
        if cell is None or (type(cell) is str and cell in missing):
            return None
        if is_text and type(cell) is str:
            return cell
        value = parse(cell)
        return json_value(cell if value is None else value)

    return read


def _scalar_reader(field: Any) -> CellReader:
    """Return the reader of frictionless or, for text that it would only strip and convert, a faster one."""
    read, convert = field.create_value_reader(), _CONVERSIONS.get(field.type)
    if convert is None or not _NUMBER_FORMATS.isdisjoint(field.list_defined()):
        return read  # type: ignore[no-any-return]

    def read_number(cell: Any) -> Any:
        try:
            return convert(cell) if type(cell) is str else read(cell)
        except (ValueError, ArithmeticError):
            return None

    return read_number


def _exact_structure_reader(is_valid: CellReader) -> CellReader:
    """Return a function that parses JSON with exact numbers, or returns None if the cell is invalid."""

    def parse(cell: Any) -> Any:
        if is_valid(cell) is None:
            return None
        return decode_exactly(cell) if isinstance(cell, str) else cell

    return parse


def json_value(value: Any) -> Any:
    """Return the value as JSON represents it: numbers keep all digits, and infinity, dates and times become text."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return value if value.is_finite() else cell_text(value)
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_value(item) for item in value]
    return cell_text(value)


def json_text(value: Any) -> str:
    """Serialize a value that `json_value` has returned."""
    return JSON_SERIALIZERS[type(value)](value)


def _object_text(value: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{encode_basestring(key)}: {json_text(item)}" for key, item in value.items()) + "}"


def _array_text(value: list[Any]) -> str:
    return "[" + ", ".join(map(json_text, value)) + "]"


JSON_SERIALIZERS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _value: "null",
    int: str,
    Decimal: str,
    dict: _object_text,
    list: _array_text,
}
