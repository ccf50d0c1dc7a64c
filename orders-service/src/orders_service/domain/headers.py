"""The header of a file: the names of its columns and their separator."""

import re
from dataclasses import dataclass

COLUMNS = ("id", "name", "email", "state", "zipcode", "birthday")
# The additional columns of an error report; ignored when it is uploaded again.
REPORT_COLUMNS = ("line", "rule", "message")
SEPARATORS = ("|", ",", ";", "\t")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

MAX_COLUMNS = 1000
MAX_HEADER_BYTES = 1024 * 1024

_CONTROL_CHARACTER = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_MAX_SHOWN_NAME_LENGTH, _MAX_SHOWN_NAMES = 60, 20


@dataclass(frozen=True)
class Header:
    """A valid header; `columns` are in the order of the file."""

    separator: str
    columns: tuple[str, ...]

    @property
    def order_columns(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns if name in COLUMNS)

    @property
    def is_report(self) -> bool:
        """Whether the file is an error report that is uploaded again, so that its formulas are escaped."""
        return set(REPORT_COLUMNS) <= set(self.columns)


class InvalidHeader(Exception):
    """The first line is not a usable header; `reason` is a key of the messages, `names` are the affected columns."""

    def __init__(self, reason: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason, self.names = reason, names


def parse_header(line: bytes) -> Header:
    """Parse the first line of a file; raise InvalidHeader with the first reason that applies."""
    line = line.rstrip(b"\r\n")
    if _CONTROL_CHARACTER.search(line):
        raise InvalidHeader("no_text")
    # Checked before the line is split, so that a million columns cost no more than a thousand.
    if any(line.count(separator.encode()) >= MAX_COLUMNS for separator in SEPARATORS):
        raise InvalidHeader("too_many_columns")
    if len(line) >= MAX_HEADER_BYTES:
        raise InvalidHeader("header_too_long")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidHeader("no_text") from None
    separator = max(SEPARATORS, key=lambda candidate: len(set(_column_names(text, candidate)) & set(COLUMNS)))
    names = _column_names(text, separator)
    allowed = set(COLUMNS) | set(REPORT_COLUMNS)
    _reject_if_any("doubled_columns", [name for index, name in enumerate(names) if name in names[:index]])
    _reject_if_any("missing_columns", [name for name in COLUMNS if name not in names])
    _reject_if_any("unknown_columns", [name for name in names if name not in allowed])
    return Header(separator, names)


def _column_names(text: str, separator: str) -> tuple[str, ...]:
    cells = (cell.strip().strip('"').strip().lower() for cell in text.split(separator))
    return tuple("birthday" if "".join(cell.split()) == "birthday,year" else cell for cell in cells)


def _reject_if_any(reason: str, names: list[str]) -> None:
    if names:
        raise InvalidHeader(reason, tuple(name[:_MAX_SHOWN_NAME_LENGTH] for name in names[:_MAX_SHOWN_NAMES]))
