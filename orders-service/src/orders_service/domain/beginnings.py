"""The beginning of a file: everything up to the end of its header."""

import re
from dataclasses import dataclass

from orders_service.domain.headers import MAX_HEADER_BYTES, Header, InvalidHeader, parse_header
from orders_service.domain.imports import FileFormat

_LINE_BREAK = re.compile(rb"\r\n|\n|\r")
# A line of blank cells, whatever separates them.
_BLANK_LINE = re.compile(rb'[ \t|;,"]*\Z')
# With this line, a spreadsheet states the separator.
_SEPARATOR_LINE = re.compile(rb'"?sep=([|,;\t])"?\Z', re.IGNORECASE)


@dataclass(frozen=True)
class Beginning:
    """The beginning of a file; `header` is None if the file has no rows.

    `line` is the number of the next line, and `rest` is what follows the header. `has_returns`: each line ends with a
    carriage return alone.
    """

    header: Header | None
    line: int
    rest: bytes
    has_returns: bool = False


def read_beginning(text: bytes, file_format: FileFormat, *, at_end: bool) -> Beginning | None:
    """Return the beginning of the file, None if more of the file is needed; raise InvalidHeader."""
    position, line, separator = 0, 1, None
    while position < len(text):
        match = _LINE_BREAK.search(text, position)
        # After a carriage return, the next character decides.
        is_complete = at_end or (match is not None and not (match[0] == b"\r" and match.end() == len(text)))
        if not is_complete and len(text) < MAX_HEADER_BYTES:
            return None
        content = text[position : match.start() if match else len(text)]
        position, line = match.end() if match else len(text), line + (match is not None)
        if separator_line := _SEPARATOR_LINE.match(content):
            separator = separator_line[1].decode()
        elif not _BLANK_LINE.match(content):
            if not is_complete:
                # The last character may be incomplete.
                parse_header(content.decode("utf-8", "ignore").encode(), separator, file_format.columns)
                raise InvalidHeader("header_too_long")
            has_returns = match is not None and match[0] == b"\r"
            header = parse_header(content, separator, file_format.columns)
            rest = text[position:]
            return Beginning(header, line, rest.replace(b"\r", b"\n") if has_returns else rest, has_returns)
    if len(text) >= MAX_HEADER_BYTES:
        raise InvalidHeader("header_too_long")
    return Beginning(None, line, b"") if at_end else None
