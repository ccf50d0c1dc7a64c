"""What errors.csv is made of: an entry for each row that did not become a valid order."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orders_service.domain.headers import COLUMNS, REPORT_COLUMNS, Header

# Between the parts of an entry: no text has it, since rows with it are shown with another character.
PART = "\0"
BETWEEN_REPORTS = PART.encode()
NO_HEADER = Header("|", COLUMNS)


@dataclass(frozen=True)
class Entry:
    """`findings` are names of rules or of a rejection, some with what they are about: `allowed_state:NJ`.

    `cells` are the row's, with separators between them as in the file.
    """

    findings: str
    line: str
    cells: str


def entries(chunks: Iterable[bytes]) -> Iterator[list[Entry]]:
    """Return the entries that are complete with each chunk of a report, wherever it was cut."""
    rest = b""
    for chunk in chunks:
        *parts, rest = (rest + chunk).split(BETWEEN_REPORTS)
        end = len(parts) - len(parts) % 3
        rest = BETWEEN_REPORTS.join([*parts[end:], rest])
        if end:
            texts = (part.decode("utf-8") for part in itertools.islice(parts, end))
            yield [Entry(*entry) for entry in zip(texts, texts, texts, strict=True)]


def first_line(header: Header) -> str:
    return header.separator.join((*header.own_columns, *REPORT_COLUMNS))


def as_cell(text: str, separator: str) -> str:
    if any(special in text for special in (separator, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text
