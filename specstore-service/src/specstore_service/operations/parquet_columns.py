"""The columns of a Parquet file: their types, which follow from the schema, and their values.

A value that its type cannot represent exactly fails the pipeline: it is never changed.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from specstore_service.operations.cells import CellReader, json_reader, json_text, missing_values, text_serializer
from specstore_service.operations.pipeline_context import PipelineFailed

_TOO_PRECISE = re.compile(r"\.\d{6}\d*[1-9]")


class ValueRejected(Exception):
    """The type of the column cannot represent the value. The message states what it must be."""


class Column:
    """A column of a table. `read` returns the value of a cell, and raises ValueRejected."""

    def __init__(self, location: str, name: str, type_: Any, read: CellReader) -> None:
        self.name, self._type, self._location, self._read = name, type_, location, read

    def array(self, cells: Iterable[Any]) -> Any:
        """Return the cells as an array. Raise PipelineFailed."""
        import pyarrow

        try:
            return pyarrow.array(list(map(self._read, cells)), self._type)
        except ValueRejected as error:
            raise PipelineFailed(f"{self._location}: {error}") from None

    def final_type(self) -> Any:
        """Return the type of the column in the file. Call this once, when the first row group is complete."""
        return self._type


class DatetimeColumn(Column):
    """A column of times: either all have an offset from UTC and are stored in UTC, or none has."""

    def __init__(self, location: str, name: str, type_: Any, read: CellReader) -> None:
        super().__init__(location, name, type_, lambda cell: self._without_zone(read(cell)))
        self._has_offset: bool | None = None

    def _without_zone(self, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        has_offset = value.utcoffset() is not None
        if self._has_offset is None:
            self._has_offset = has_offset
        if has_offset != self._has_offset:
            raise ValueRejected(
                f"{value.isoformat()} must have an offset from UTC if the first value of the field has one"
            )
        try:
            return value.astimezone(UTC).replace(tzinfo=None) if has_offset else value
        except OverflowError:
            raise ValueRejected(f"{value.isoformat()} must be in the years 1 to 9999 in UTC") from None

    def final_type(self) -> Any:
        import pyarrow

        self._has_offset = bool(self._has_offset)
        return pyarrow.timestamp("us", "UTC" if self._has_offset else None)


def create_column(table: str, name: str, field: Any) -> Column:
    """Return the column of a field, or of strings if `field` is None."""
    import pyarrow

    location = f"{table}: field {name}"
    kind = field.type if field else "any"
    if kind in ("object", "array", "geojson"):
        read_structure = json_reader(field)
        return Column(location, name, pyarrow.string(), lambda cell: _structure_text(read_structure(cell)))
    if kind not in _CONVERSIONS:
        return Column(location, name, pyarrow.string(), _text_reader(field))
    types = {
        "integer": pyarrow.int64(),
        "year": pyarrow.int64(),
        "number": pyarrow.float64(),
        "boolean": pyarrow.bool_(),
        "date": pyarrow.date32(),
        "time": pyarrow.time64("us"),
        "datetime": pyarrow.timestamp("us"),
    }
    column = DatetimeColumn if kind == "datetime" else Column
    return column(location, name, types[kind], _typed_reader(field, _CONVERSIONS[kind]))


def _structure_text(value: Any) -> str | None:
    return None if value is None else json_text(value)


def _text_reader(field: Any) -> CellReader:
    text = text_serializer(field)
    missing = set(missing_values(field) if field else [])
    return lambda cell: None if cell is None or (type(cell) is str and cell in missing) else text(cell)


def _typed_reader(field: Any, convert: Callable[[Any], Any]) -> CellReader:
    missing, parse = set(missing_values(field)), field.create_value_reader()

    def read(cell: Any) -> Any:
        if cell is None or (type(cell) is str and cell in missing):
            return None
        value = parse(cell)
        if value is None:
            raise ValueRejected(f"{str(cell)[:100]!r} must be a valid {field.type}")
        if isinstance(value, datetime | time) and isinstance(cell, str) and _TOO_PRECISE.search(cell):
            raise ValueRejected(f"{cell[:100]} must have at most 6 decimal places")
        return convert(value)

    return read


def _integer(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise ValueRejected(f"{str(value)[:100]} must fit into 64 bits: use the type string")
    return value


def _float(value: Decimal | int) -> float:
    exact = Decimal(value)
    number = float(exact)
    if exact.is_finite() and Decimal(repr(number)) != exact:
        raise ValueRejected(f"{str(value)[:100]} must be exactly representable as a 64-bit float: use the type string")
    return number


def _time(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueRejected(f"{value.isoformat()} must not have an offset from UTC: use the type string")
    return value


_CONVERSIONS: dict[str, Callable[[Any], int | float | date | time]] = {
    "integer": _integer,
    "year": _integer,
    "number": _float,
    "boolean": bool,
    "date": lambda value: value,
    "time": _time,
    "datetime": lambda value: value,
}
