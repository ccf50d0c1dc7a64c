"""Lines of delimited text, changed so that Python's csv reader reads what it does not support."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

from specstore_service.domain.dialects import Dialect
from specstore_service.operations.limits import MAX_CELL_BYTES, Unreadable

_CHUNK_CHARACTERS = 1024 * 1024
# Unicode guarantees that these code points are not characters, so they represent what the csv reader must not see.
_CR, _LF, _DELIMITER, _NULL = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
_RESERVED = (_CR, _LF, _DELIMITER, _NULL)
# str.splitlines is fast, but also splits at these.
_OTHER_BREAKS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_LINE = re.compile(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]++")
_BARE_CR, _BARE_LF = re.compile(r"\r(?!\n)"), re.compile(r"(?<!\r)\n")

Replacement = Callable[[str], str]


class Substitution:
    """Replaces in a text what the csv reader would misread, and restores it in the cells.

    `delimiter` is what separates the cells of the replaced text.
    """

    def __init__(self, dialect: Dialect, default_delimiter: str) -> None:
        properties = dialect.delimited
        self.delimiter = properties.delimiter or default_delimiter
        self._null, self._replacements, self._restored = properties.null_sequence, list[Replacement](), {}
        self._has_replaced = False
        self._add_terminator(properties.line_terminator)
        if len(self.delimiter) > 1:
            self._add(self.delimiter, _DELIMITER)
            self.delimiter = _DELIMITER
        escape = properties.escape
        if self._null and escape and len(self._null) == 2 and self._null[0] == escape:
            # Otherwise the reader would remove the escape character.
            pattern, null = re.compile(f"{re.escape(escape)}(.)", re.DOTALL), self._null
            self._replacements.append(lambda text: pattern.sub(lambda m: _NULL if m[0] == null else m[0], text))
            self._restored[_NULL] = null[1]
            self._null = _NULL
        self._pattern = re.compile("|".join(map(re.escape, self._restored))) if self._restored else None

    def _add_terminator(self, terminator: str | None) -> None:
        if terminator in ("\n", "\r\n"):
            self._replacements.append(lambda text: _BARE_CR.sub(_CR, text) if "\r" in text else text)
            self._restored[_CR] = "\r"
        elif terminator == "\r":
            self._replacements.append(lambda text: _BARE_LF.sub(_LF, text))
            self._restored[_LF] = "\n"
        elif terminator:
            self._add("\r", _CR)
            self._add("\n", _LF)
            self._add(terminator.replace("\r", _CR).replace("\n", _LF), "\n")
            self._restored["\n"] = terminator

    def _add(self, sequence: str, replacement: str) -> None:
        self._replacements.append(lambda text: text.replace(sequence, replacement))
        self._restored[replacement] = sequence

    def apply(self, text: str) -> str:
        original = text
        for replace in self._replacements:
            text = replace(text)
        self._has_replaced = self._has_replaced or text != original
        if self._has_replaced and any(character in original for character in _RESERVED):
            raise Unreadable("must not contain the code points U+FDD0 to U+FDD3, which are not characters")
        return text

    def restore(self, rows: Iterator[Any], null_text: str) -> Iterator[Any]:
        """Return the rows with the original text, and with `null_text` in cells that are the null sequence."""
        return rows if self._null is None and not self._replacements else self._restored_rows(rows, null_text)

    def _restored_rows(self, rows: Iterator[Any], null_text: str) -> Iterator[Any]:
        for row in rows:
            if row and (self._has_replaced or self._null is not None):
                yield [self._restore_cell(cell, null_text) for cell in row]
            else:
                yield row

    def _restore_cell(self, cell: str, null_text: str) -> str:
        if cell == self._null:
            return null_text
        return self._pattern.sub(lambda match: self._restored[match[0]], cell) if self._pattern else cell


def read_lines(
    file: TextIO, terminator: str | None, substitution: Substitution, reject_long_line: Callable[[str], None]
) -> Iterator[str]:
    """Yield lines, after the substitution. `reject_long_line` receives the beginning of a line that is too long."""
    rest, is_start = "", True
    while chunk := file.read(_CHUNK_CHARACTERS):
        if is_start:
            chunk, is_start = chunk.removeprefix("\ufeff"), False
        text = rest + chunk
        end = _end_of_lines(text, terminator)
        yield from _split_lines(substitution.apply(text[:end]))
        rest = text[end:]
        if len(rest) > MAX_CELL_BYTES:
            reject_long_line(substitution.apply(rest[:_CHUNK_CHARACTERS]))
    yield from _split_lines(substitution.apply(rest))


def _split_lines(text: str) -> Iterable[str]:
    if any(character in text for character in _OTHER_BREAKS):
        return (match[0] for match in _LINE.finditer(text))
    return text.splitlines(keepends=True)


def _end_of_lines(text: str, terminator: str | None) -> int:
    """Return the end of the last complete line. A line feed may follow a carriage return at the end."""
    if terminator in (None, "\r"):
        end = text.rfind("\r", 0, max(len(text) - 1, 0)) + 1
        if terminator is None:
            return max(end, text.rfind("\n") + 1)
        return end + 1 if end and text[end] == "\n" else end
    separator = "\n" if terminator == "\r\n" else terminator or "\n"
    index = text.rfind(separator)
    return index + len(separator) if index >= 0 else 0
