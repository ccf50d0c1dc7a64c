"""Cells of a spreadsheet as text, in the form in which a CSV file would contain them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

# The formats of dates that every workbook has; those of times alone are not among them.
_BUILT_IN_DATE_FORMATS = frozenset((14, 15, 16, 17, 22, *range(27, 32), 34, 35, 36, *range(50, 59)))
_LITERAL_IN_FORMAT = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')
_ZEROS = re.compile(r"0+(?:-0+)?\Z")
_INTEGER = re.compile(r"-?[0-9]{1,400}\Z")
# Surrogates, which are not characters, stay as they are written.
_ESCAPED_CHARACTER = re.compile("_x((?![Dd][89A-Fa-f])[0-9A-Fa-f]{4})_")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MAX_EXACT = 2**53


@dataclass(frozen=True)
class Styles:
    """The formats of a workbook: for each style of cells whether it is a date, or how many digits it shows."""

    is_date: Sequence[bool] = ()
    zeros: Sequence[str] = ()
    first_day: date = date(1899, 12, 30)


def build_styles(format_ids: Sequence[int], custom_formats: dict[int, str], *, counts_from_1904: bool) -> Styles:
    formats = [custom_formats.get(id_, "") for id_ in format_ids]
    first_day = date(1904, 1, 1) if counts_from_1904 else Styles.first_day
    plain = [_LITERAL_IN_FORMAT.sub(lambda match: "-" if match[0] == "\\-" else "", text) for text in formats]
    is_date = [
        id_ in _BUILT_IN_DATE_FORMATS or (bool(re.search("d|y|mmm", text, re.I)) and text.lower() != "standard")
        for id_, text in zip(format_ids, plain, strict=True)
    ]
    return Styles(is_date, [text if _ZEROS.match(text) else "" for text in plain], first_day)


def cell_text(kind: str, value: str, style: int, styles: Styles) -> str:
    """Return the text of a cell whose value is not shared; `kind` is the attribute `t` of the cell."""
    if kind == "b":
        return {"1": "TRUE", "0": "FALSE"}.get(value, value)
    if kind == "d":
        return value.partition("T")[0]
    if kind != "n" or not value:
        return unescape_text(value)
    if style < len(styles.is_date) and styles.is_date[style]:
        return _date_text(value, styles.first_day)
    number = _integer_text(value)
    zeros = styles.zeros[style] if style < len(styles.zeros) else ""
    if zeros and number.isdigit():
        digits = number.zfill(zeros.count("0"))
        length = len(zeros.rpartition("-")[2]) if "-" in zeros else 0
        return f"{digits[:-length]}-{digits[-length:]}" if length else digits
    return number


def unescape_text(text: str) -> str:
    """Return the text of XML in which characters that XML does not allow are written as `_x000D_`."""
    return _ESCAPED_CHARACTER.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


def _integer_text(value: str) -> str:
    """Return integers, which spreadsheets keep as floating-point numbers, without a fraction or an exponent."""
    if _INTEGER.match(value):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return str(int(number)) if number.is_integer() and abs(number) <= _MAX_EXACT else value


def _date_text(value: str, first_day: date) -> str:
    try:
        day = first_day + timedelta(days=int(float(value)))
    except (ValueError, OverflowError):
        return value
    # No requested format of dates reads this spelling differently.
    return f"{_MONTHS[day.month - 1]} {day.day}, {day.year:04}"


def column_index(reference: str) -> int:
    """Return the index of the column of a cell such as `B3`."""
    index = 0
    for char in reference[:4]:
        if not "A" <= char <= "Z":
            break
        index = index * 26 + ord(char) - 64
    return index - 1
