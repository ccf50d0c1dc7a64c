"""The header of a file: the names of its columns and their separator."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from orders_service.domain.encodings import remove_source_bytes

COLUMNS = ("id", "name", "email", "state", "zipcode", "birthday")
# The additional columns of an error report; ignored when it is uploaded again.
REPORT_COLUMNS = ("line", "rule", "message")
# The additional columns of an export of orders.
EXPORT_COLUMNS = ("valid", "rule")
SEPARATORS = ("|", ",", ";", "\t")
# Other names of the columns, in lower case and without spaces, hyphens, underscores and dots.
SYNONYMS = {
    "id": ("orderid", "orderno", "ordernumber"),
    "name": ("fullname", "customer", "customername"),
    "email": ("mail", "emailaddress"),
    "state": ("usstate", "statecode"),
    "zipcode": ("zip", "postalcode", "postcode", "zippostalcode"),
    "birthday": ("birthdate", "dateofbirth", "dob", "birthday,year"),
}

MAX_COLUMNS = 1000
MAX_HEADER_BYTES = 1024 * 1024

_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_MAX_SHOWN_NAME_LENGTH, _MAX_SHOWN_NAMES = 60, 20
_IGNORED_IN_NAMES = re.compile(r"[\s_.\-]+")


@dataclass(frozen=True)
class Header:
    """A valid header, in the order of the file.

    `columns` have the names that the code uses; `#` precedes the numbers of columns that are ignored. `names` are
    those of the file, empty for an import of a previous version.
    """

    separator: str
    columns: tuple[str, ...]
    names: tuple[str, ...] = field(default=(), compare=False)

    @property
    def reported_columns(self) -> tuple[str, ...]:
        """The columns of an error report: those of the file, except for those of an earlier report."""
        return tuple(name for name in self.named_columns if name not in REPORT_COLUMNS)

    @property
    def reported_names(self) -> tuple[str, ...]:
        names = dict(zip(self.columns, self.names or self.columns, strict=True))
        return tuple(names[column] for column in self.reported_columns)

    @property
    def named_columns(self) -> tuple[str, ...]:
        """The columns up to the last one that has a name; rows may omit the cells after it, which must be blank."""
        names = self.names or self.columns
        return self.columns[: max(index for index, name in enumerate(names, 1) if name)]

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        return tuple(_shown(name, self.names) for name in self.named_columns if name.startswith("#"))[:_MAX_SHOWN_NAMES]

    @property
    def has_escaped_formulas(self) -> bool:
        """Whether the file is an error report or an export that is uploaded again."""
        names = {normalize_name(name) for name in self.names or self.columns}
        return names.issuperset(REPORT_COLUMNS) or names.issuperset(EXPORT_COLUMNS)


class InvalidHeader(Exception):
    """The first line is not a usable header.

    `reason` is a key of the messages, `names` are the affected columns, and `columns` are those of the file.
    """

    def __init__(self, reason: str, names: tuple[str, ...] = (), columns: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason, self.names, self.columns = reason, names, columns


def parse_header(line: bytes, separator: str | None = None, mapping: Mapping[str, str] | None = None) -> Header:
    """Parse the first line of a file; raise InvalidHeader with the first reason that applies.

    `mapping` contains the names that the columns have in this file, where they are not the usual ones.
    """
    text = decode_header(line)
    # Checked before the line is split, so that a million columns cost no more than a thousand.
    if any(line.count(candidate.encode()) >= MAX_COLUMNS for candidate in SEPARATORS):
        raise InvalidHeader("too_many_columns")
    if len(line) >= MAX_HEADER_BYTES:
        raise InvalidHeader("header_too_long")
    candidates = [separator] if separator else SEPARATORS
    headers = [_match_columns(candidate, _split_names(text, candidate), mapping or {}) for candidate in candidates]
    header = max(headers, key=lambda candidate: len(set(candidate.columns) & set(COLUMNS)))
    shown = tuple(_shown(f"#{number}", header.names) for number in range(1, len(header.names) + 1))[:_MAX_SHOWN_NAMES]
    doubled = [name for index, name in enumerate(header.columns) if name in header.columns[:index]]
    _reject_if_any("doubled_columns", doubled, shown)
    missing = [name for name in COLUMNS if name not in header.columns]
    _reject_if_any("missing_columns", [(mapping or {}).get(name, name) for name in missing], shown)
    return header


def decode_header(line: bytes) -> str:
    line = line.rstrip(b"\r\n")
    try:
        text = remove_source_bytes(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidHeader("no_text") from None
    if _CONTROL_CHARACTER.search(text):
        raise InvalidHeader("no_text")
    return text


def normalize_name(name: str) -> str:
    """Return the form in which the names of columns are compared."""
    return _IGNORED_IN_NAMES.sub("", name.lower())


def _split_names(text: str, separator: str) -> tuple[str, ...]:
    return tuple(cell.strip().strip('"').strip() for cell in text.split(separator))


def _match_columns(separator: str, names: tuple[str, ...], mapping: Mapping[str, str]) -> Header:
    """Return the header whose columns the names mean: a mapped name precedes an exact one, and that a synonym."""
    keys = [normalize_name(name) for name in names]
    columns = [f"#{number}" for number in range(1, len(names) + 1)]
    mapped_keys = {normalize_name(name) for name in mapping.values()}
    for column in COLUMNS:
        if column in mapping:
            spellings: tuple[str, ...] = (normalize_name(mapping[column]),)
        else:
            spellings = (column,) if column in keys else SYNONYMS[column]
            spellings = tuple(spelling for spelling in spellings if spelling not in mapped_keys)
        for index, key in enumerate(keys):
            if key in spellings:
                columns[index] = column
    if set(REPORT_COLUMNS) <= set(keys):
        # The report adds its columns after those of the file, which may have the same names.
        for name in REPORT_COLUMNS:
            columns[max(index for index, key in enumerate(keys) if key == name)] = name
    return Header(separator, tuple(columns), names)


def _shown(column: str, names: tuple[str, ...]) -> str:
    """Return the name of an ignored column as it is shown to people, or its number if it has none."""
    return (names[int(column[1:]) - 1] or column)[:_MAX_SHOWN_NAME_LENGTH]


def _reject_if_any(reason: str, names: list[str], columns: tuple[str, ...]) -> None:
    if names:
        shown = tuple(name[:_MAX_SHOWN_NAME_LENGTH] for name in names[:_MAX_SHOWN_NAMES])
        raise InvalidHeader(reason, shown, columns)
