"""Cells that a spreadsheet would execute as a formula: escaped in errors.csv, unescaped when the file comes back."""

import re

_FORMULA = r"=+\-@＝＋－＠"
# A spreadsheet may split a line at any of these, whatever the separator of the file is.
_SEPARATOR = ",;|"
_LINE_BREAK = r"\t\n\v\f\r\x85\u2028\u2029"
# What may stand before a formula. An apostrophe is among it, so that a cell which has one gets one more.
_IGNORED = r"'\"\x00-\x20\x7f-\xa0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"

# In the syntax that Python and polars have in common.
CONTAINS_FORMULA = f"(?:^|[{_SEPARATOR}{_LINE_BREAK}])[{_IGNORED}]*[{_FORMULA}]"

_number = re.compile(r"-[0-9]+\Z")
_ignored_before_formula = re.compile(f"(?<![{_IGNORED}])[{_IGNORED}]*+(?=[{_FORMULA}])")
_inner_cell_start = rf"(\r\n|[{_LINE_BREAK}])"
_cell_start = rf"(^|\r\n|[{_LINE_BREAK}])"


def escape(text: str) -> str:
    """Put an apostrophe before each formula, at every place where a spreadsheet may begin a cell.

    Quotes would not do: they count only at the beginning of what the spreadsheet takes for a cell. A negative number
    is not a formula.
    """
    if _number.match(text):
        return text
    return _ignored_before_formula.sub(lambda match: re.sub(_start_of_cell(match), r"\1'", match[0]), text)


def unescape(text: str) -> str:
    """The inverse of `escape`."""
    return _ignored_before_formula.sub(lambda match: re.sub(_start_of_cell(match) + "'", r"\1", match[0]), text)


def _start_of_cell(match: re.Match[str]) -> str:
    begins = match.start() == 0 or match.string[match.start() - 1] in _SEPARATOR
    return _cell_start if begins else _inner_cell_start
