"""Rows of JSON, in a file or inline: either objects, or arrays of which the first contains the headers."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TextIO

from specstore_service.domain.encodings import codec_of
from specstore_service.domain.schemas import MAX_COLUMNS
from specstore_service.operations.limits import MAX_CELL_BYTES, Unreadable, too_many_columns

_WINDOW_CHARACTERS = 1024 * 1024
_BLANK = re.compile(r"[ \t\r\n]*")
_COMMA = re.compile(r"[ \t\r\n]*+,[ \t\r\n]*+")
# An unclosed string extends to the end of the text.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)


def encoding_of(path: Path, stated: str | None) -> str:
    if stated is not None:
        return codec_of(stated)
    with path.open("rb") as file:
        return json.detect_encoding(file.read(4))


def read_file_rows(
    path: Path, schema_names: list[str], max_bytes: int, stated_encoding: str | None = None
) -> Iterator[list[Any]]:
    """Yield the rows. Raise Unreadable during iteration."""
    if path.stat().st_size > max_bytes:
        raise Unreadable(f"JSON must have at most {max_bytes} bytes")
    encoding = encoding_of(path, stated_encoding)

    def items() -> Iterator[Any]:
        with path.open(encoding=encoding, newline="") as file:
            yield from _ArrayElements(file)

    yield from read_rows(items, schema_names)


def read_rows(items: Callable[[], Iterable[Any]], schema_names: list[str]) -> Iterator[list[Any]]:
    """Yield the rows. Each call of `items` must start at the first item. Raise Unreadable during iteration."""
    if isinstance(next(iter(items()), None), dict):
        names = _names(items(), schema_names)
        if names:
            yield names
        for item in items():
            yield list(map(item.get, names))
        return
    for number, item in enumerate(items(), 1):
        if not isinstance(item, list):
            raise _mixed_types(number)
        yield item


def _names(items: Iterable[Any], schema_names: list[str]) -> list[str]:
    """Return the column names: those of the schema, then the others in the order of their appearance."""
    names = dict.fromkeys(schema_names)
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise _mixed_types(number)
        if not item.keys() <= names.keys():
            names.update(dict.fromkeys(item))
            if len(names) > MAX_COLUMNS:
                raise too_many_columns(f"the table up to row {number}")
    return list(names)


def _mixed_types(number: int) -> Unreadable:
    return Unreadable(f"row {number}: all rows must be objects, or all arrays")


class _ArrayElements:
    """Iterates over the elements of a JSON array, checking those larger than the window before they are built.

    Raises Unreadable and JSONDecodeError.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text, self._position, self._number = "", 0, 1

    def __iter__(self) -> Iterator[Any]:
        if self._next_character() != "[":
            raise Unreadable("must be a list of rows")
        self._position += 1
        if self._next_character() == "]":
            self._position += 1
        else:
            yield self._element()
            while (character := self._next_character()) == ",":
                self._position += 1
                self._number += 1
                self._next_character()
                yield self._element()
                yield from self._elements_of_full_window()
            self._position += 1
            if character != "]":
                raise _not_json()
        if self._next_character():
            raise _not_json()

    def _next_character(self) -> str:
        """Return the next character that is not a space, or "" at the end of the file.

        Afterwards the text contains a full window from this character on, unless the file ends earlier.
        """
        while True:
            self._position = _BLANK.match(self._text, self._position).end()  # type: ignore[union-attr]
            if len(self._text) - self._position < _WINDOW_CHARACTERS and (text := self._file.read(_WINDOW_CHARACTERS)):
                self._text, self._position = self._text[self._position :] + text, 0
            else:
                return self._text[self._position : self._position + 1]

    def _elements_of_full_window(self) -> Iterator[Any]:
        """Yield the elements that begin before the last window of the text, up to one that is invalid or larger."""
        text, last = self._text, len(self._text) - _WINDOW_CHARACTERS
        while self._position <= last and (comma := _COMMA.match(text, self._position)):
            try:
                element, self._position = _DECODER.raw_decode(text, comma.end())
            except ValueError:
                return
            self._number += 1
            yield element

    def _element(self) -> Any:
        try:
            return self._decode()
        except json.JSONDecodeError:
            self._text, self._position = self._text[self._position :] + self._file.read(MAX_CELL_BYTES), 0
            self._reject_too_large_element()
            return self._decode()

    def _decode(self) -> Any:
        try:
            element, self._position = _DECODER.raw_decode(self._text, self._position)
        except json.JSONDecodeError:
            raise
        except ValueError:
            limit = sys.get_int_max_str_digits()
            raise Unreadable(f"row {self._number}: integers must have at most {limit} digits") from None
        return element

    def _reject_too_large_element(self) -> None:
        depth = columns = 1
        for token in _TOKEN.finditer(self._text, 1):
            position = token.start()
            character = self._text[position]
            if character == "," and depth == 1:
                columns += 1
                if columns > MAX_COLUMNS:
                    raise too_many_columns(f"row {self._number}")
            elif character in "[]{}":
                depth += 1 if character in "[{" else -1
            if depth == 0:
                return
            if position > MAX_CELL_BYTES:
                raise Unreadable(f"row {self._number} is longer than {MAX_CELL_BYTES} bytes")
        raise _not_json()


# Integers have the same limit.
_MAX_EXPONENT = sys.get_int_max_str_digits()


def _parse_fraction(text: str) -> Decimal:
    """Return the exact number. Its exponent is limited, since other code may write it with all of its digits."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = None
    if number is None or abs(number.adjusted()) >= _MAX_EXPONENT or len(text) > _MAX_EXPONENT:
        raise Unreadable(f"the number {text[:20]} must have at most {_MAX_EXPONENT} digits")
    return number


def _reject_constant(name: str) -> None:
    raise Unreadable(f"must be valid JSON: {name} is not allowed")


_DECODER = json.JSONDecoder(parse_float=_parse_fraction, parse_constant=_reject_constant)


def decode_exactly(text: str) -> Any:
    """Parse JSON without changing any number. Raise Unreadable and JSONDecodeError."""
    return _DECODER.decode(text)


def _not_json() -> Unreadable:
    return Unreadable("must be valid JSON")
