"""The first line of a file: how its columns are called and what stands between them."""

import re
from dataclasses import dataclass

COLUMNS = ("id", "name", "email", "state", "zipcode", "birthday")
# What a report of errors has beside them; passed over when it is sent again.
REPORT_COLUMNS = ("line", "rule", "message")
SEPARATORS = ("|", ",", ";", "\t")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

MAX_COLUMNS = 1000
MAX_HEADER_BYTES = 1024 * 1024

_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_LONGEST_NAME, _MOST_NAMES = 60, 20


@dataclass(frozen=True)
class Header:
    """`columns` are in the order of the file."""

    separator: str
    columns: tuple[str, ...]

    @property
    def own_columns(self) -> tuple[str, ...]:
        """Those of an order."""
        return tuple(name for name in self.columns if name in COLUMNS)

    @property
    def is_report(self) -> bool:
        """Whether the file is a report of errors that comes back, with formula cells made harmless."""
        return set(REPORT_COLUMNS) <= set(self.columns)


class BadHeader(Exception):
    """Why there is none: a key of the messages, and the columns it is about."""

    def __init__(self, reason: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason, self.names = reason, names


def header_of(line: bytes) -> Header:
    """Raises BadHeader with the first of all reasons that apply."""
    line = line.rstrip(b"\r\n")
    if _CONTROL.search(line):
        raise BadHeader("no_text")
    # Before it is split: a million columns cost no more than a thousand.
    if any(line.count(separator.encode()) >= MAX_COLUMNS for separator in SEPARATORS):
        raise BadHeader("too_many_columns")
    if len(line) >= MAX_HEADER_BYTES:
        raise BadHeader("header_too_long")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise BadHeader("no_text") from None
    separator = max(SEPARATORS, key=lambda candidate: len(set(_names(text, candidate)) & set(COLUMNS)))
    names = _names(text, separator)
    known = set(COLUMNS) | set(REPORT_COLUMNS)
    _refuse("doubled_columns", [name for place, name in enumerate(names) if name in names[:place]])
    _refuse("missing_columns", [name for name in COLUMNS if name not in names])
    _refuse("unknown_columns", [name for name in names if name not in known])
    return Header(separator, names)


def _names(text: str, separator: str) -> tuple[str, ...]:
    cells = (cell.strip().strip('"').strip().lower() for cell in text.split(separator))
    return tuple("birthday" if "".join(cell.split()) == "birthday,year" else cell for cell in cells)


def _refuse(reason: str, names: list[str]) -> None:
    if names:
        raise BadHeader(reason, tuple(name[:_LONGEST_NAME] for name in names[:_MOST_NAMES]))
