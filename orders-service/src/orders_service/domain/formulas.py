"""Cells that a spreadsheet would execute as a formula: escaped in errors.csv, unescaped on re-upload."""

import re

_FORMULA = r"=+\-@＝＋－＠"
# A spreadsheet may split a line at any of these characters, regardless of the file's separator.
_SEPARATOR = ",;|"
_LINE_BREAK = r"\t\n\v\f\r\x85\u2028\u2029"
# Characters that may precede a formula. The apostrophe is one of them, so that a cell that has one gets a second one.
_IGNORED = r"'\"\x00-\x20\x7f-\xa0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"

# Uses only syntax that Python and polars share.
CONTAINS_FORMULA = f"(?:^|[{_SEPARATOR}{_LINE_BREAK}])[{_IGNORED}]*[{_FORMULA}]"

_negative_integer = re.compile(r"-[0-9]+\Z")
_ignored_before_formula = re.compile(f"(?<![{_IGNORED}])[{_IGNORED}]*+(?=[{_FORMULA}])")
_inner_cell_start = rf"(\r\n|[{_LINE_BREAK}])"
_cell_start = rf"(^|\r\n|[{_LINE_BREAK}])"


def escape(text: str) -> str:
    """Put an apostrophe before each formula, wherever a spreadsheet may begin a cell.

    Quoting is not enough: quotes count only at the beginning of what the spreadsheet considers a cell. A negative
    integer is not a formula.
    """
    if _negative_integer.match(text):
        return text
    return _ignored_before_formula.sub(lambda match: re.sub(_start_of_cell(match), r"\1'", match[0]), text)


def unescape(text: str) -> str:
    """Reverse `escape` exactly."""
    return _ignored_before_formula.sub(lambda match: re.sub(_start_of_cell(match) + "'", r"\1", match[0]), text)


def _start_of_cell(match: re.Match[str]) -> str:
    is_cell_start = match.start() == 0 or match.string[match.start() - 1] in _SEPARATOR
    return _cell_start if is_cell_start else _inner_cell_start
