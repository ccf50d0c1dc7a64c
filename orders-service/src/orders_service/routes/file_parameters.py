"""Parameters of an upload that state how its file is to be read."""

from typing import Annotated

from pydantic import AfterValidator

from chassis import strictjson
from chassis.errors import Invalid
from orders_service.domain.date_formats import is_date_format
from orders_service.domain.encodings import find_encoding
from orders_service.domain.headers import COLUMNS, normalize_name

_MAX_NAME_LENGTH = 200
_INVALID_COLUMNS = "columns must be a JSON object of different names by id, name, email, state, zipcode or birthday"


def _validate_encoding(value: str) -> str:
    encoding = find_encoding(value)
    if encoding is None:
        raise ValueError("encoding must be a text encoding that Python supports, such as utf-8, cp1252 or utf-16")
    return encoding


def parse_columns(value: str | None) -> dict[str, str]:
    """Return the names of columns in the file; raise ValueError if they are ambiguous."""
    if value is None:
        return {}
    try:
        mapping = strictjson.loads(value.encode("utf-8", "replace"))
    except Invalid:
        raise ValueError(_INVALID_COLUMNS) from None
    if not isinstance(mapping, dict) or not set(mapping) <= set(COLUMNS):
        raise ValueError(_INVALID_COLUMNS)
    if not all(isinstance(name, str) and len(name) <= _MAX_NAME_LENGTH for name in mapping.values()):
        raise ValueError(_INVALID_COLUMNS)
    names = [normalize_name(name) for name in mapping.values()]
    if "" in names or len(set(names)) < len(names):
        raise ValueError(_INVALID_COLUMNS)
    return mapping


def _validate_columns(value: str) -> str:
    parse_columns(value)
    return value


def _validate_date_format(value: str) -> str:
    if not is_date_format(value):
        raise ValueError("date_format must contain %d, %m or %b, and %Y or %y once each, and no other directives")
    return value


Encoding = Annotated[str, AfterValidator(_validate_encoding)] | None
ColumnNames = Annotated[str, AfterValidator(_validate_columns)] | None
DateFormat = Annotated[str, AfterValidator(_validate_date_format)] | None
