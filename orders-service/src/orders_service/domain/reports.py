"""What errors.csv is made of: an entry for each row that did not become a valid order."""

from collections.abc import Iterator
from dataclasses import dataclass

from orders_service.domain.headers import COLUMNS, REPORT_COLUMNS, Header

# Between the parts of an entry: no text has it, since rows with it are shown with another character.
PART = "\0"
NO_HEADER = Header("|", COLUMNS)


@dataclass(frozen=True)
class Entry:
    """`findings` are names of rules or of a rejection, some with what they are about: `allowed_state:NJ`.

    `cells` are the row's, with separators between them as in the file.
    """

    findings: str
    line: str
    cells: str


def entries(content: bytes) -> Iterator[Entry]:
    parts = iter(content.decode("utf-8").split(PART))
    return (Entry(findings, line, cells) for findings, line, cells in zip(parts, parts, parts, strict=True))


def first_line(header: Header) -> str:
    return header.separator.join((*header.own_columns, *REPORT_COLUMNS))


def as_cell(text: str, separator: str) -> str:
    if any(special in text for special in (separator, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text
