"""Rows of JSON, in a file or inline: all of them objects, or all of them arrays with the headers first."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from specstore_service.operations.limits import MAX_CELL_BYTES, MAX_COLUMNS, Unreadable, too_many_columns

_WINDOW_CHARACTERS = 1024 * 1024
_BLANK = re.compile(r"[ \t\r\n]*")
_COMMA = re.compile(r"[ \t\r\n]*+,[ \t\r\n]*+")
# A string that has no end reaches to that of the text.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)


def read_file_rows(path: Path, schema_names: list[str], max_bytes: int) -> Iterator[list[Any]]:
    """Raises Unreadable while the rows are read."""
    if path.stat().st_size > max_bytes:
        raise Unreadable(f"JSON of more than {max_bytes} bytes is not read")
    with path.open("rb") as file:
        encoding = json.detect_encoding(file.read(4))

    def items() -> Iterator[Any]:
        with path.open(encoding=encoding, newline="") as file:
            yield from _Elements(file)

    yield from read_rows(items, schema_names)


def read_rows(items: Callable[[], Iterable[Any]], schema_names: list[str]) -> Iterator[list[Any]]:
    """Return the rows. Each call of `items` must start at the first item. Raises Unreadable while the rows are read."""
    if isinstance(next(iter(items()), None), dict):
        names = _names(items(), schema_names)
        if names:
            yield names
        for item in items():
            yield list(map(item.get, names))
        return
    for number, item in enumerate(items(), 1):
        if not isinstance(item, list):
            raise _mixed(number)
        yield item


def _names(items: Iterable[Any], schema_names: list[str]) -> list[str]:
    """The columns: those of the schema first, then the others in the order in which they appear."""
    names = dict.fromkeys(schema_names)
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise _mixed(number)
        if not item.keys() <= names.keys():
            names.update(dict.fromkeys(item))
            if len(names) > MAX_COLUMNS:
                raise too_many_columns(f"row {number}, with those before it,")
    return list(names)


def _mixed(number: int) -> Unreadable:
    return Unreadable(f"row {number}: all rows must be objects, or all arrays")


class _Elements:
    """Of a JSON array, one at a time. Those that do not fit into the window are searched before they are built.

    Raises JSONDecodeError, too.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text, self._position, self._number = "", 0, 1

    def __iter__(self) -> Iterator[Any]:
        if self._next_character() != "[":
            raise Unreadable("is no list of rows")
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
        """The one after blanks; empty at the end of the file. At least a window of text follows it, if there is one."""
        while True:
            self._position = _BLANK.match(self._text, self._position).end()  # type: ignore[union-attr]
            if len(self._text) - self._position < _WINDOW_CHARACTERS and (more := self._file.read(_WINDOW_CHARACTERS)):
                self._text, self._position = self._text[self._position :] + more, 0
            else:
                return self._text[self._position : self._position + 1]

    def _elements_of_full_window(self) -> Iterator[Any]:
        """Return the elements that begin before the last window of the text, up to one that is invalid or larger."""
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


_DECODER = json.JSONDecoder()


def _not_json() -> Unreadable:
    return Unreadable("cannot be read as what its format says")
