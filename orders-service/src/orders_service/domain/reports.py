"""The stored form of errors.csv: an entry for each row that did not become a valid order."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orders_service.domain.formulas import escape
from orders_service.domain.headers import COLUMNS, REPORT_COLUMNS, Header

# Separates the fields of an entry; no field contains it, because U+0000 is escaped in reported rows.
FIELD_SEPARATOR = "\0"
REPORT_SEPARATOR = FIELD_SEPARATOR.encode()
DEFAULT_HEADER = Header("|", COLUMNS)


@dataclass(frozen=True)
class Entry:
    """A reported row.

    `findings` are the names of the violated rules, or the reason why the row is not a new order; some rules have
    a parameter, as in `allowed_state:NJ`. `cells` are those of the row, separated as in the file.
    """

    findings: str
    line: str
    cells: str


def parse_entries(chunks: Iterable[bytes]) -> Iterator[list[Entry]]:
    """Yield the entries that each chunk of a report completes; the report may be cut at any byte."""
    rest = b""
    for chunk in chunks:
        *fields, rest = (rest + chunk).split(REPORT_SEPARATOR)
        end = len(fields) - len(fields) % 3
        rest = REPORT_SEPARATOR.join([*fields[end:], rest])
        if end:
            texts = (field.decode("utf-8") for field in itertools.islice(fields, end))
            yield [Entry(*entry) for entry in zip(texts, texts, texts, strict=True)]


def header_line(header: Header) -> str:
    names = [quote_cell(escape(name), header.separator) for name in header.reported_names]
    return header.separator.join((*names, *REPORT_COLUMNS))


def quote_cell(text: str, separator: str) -> str:
    """Return the text as a CSV cell, quoted if necessary."""
    if any(special in text for special in (separator, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text
