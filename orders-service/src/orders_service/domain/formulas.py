"""Cells that a spreadsheet would execute as a formula: escaped in errors.csv, unescaped on re-upload."""

import re

_FORMULA_STARTS = r"=+\-@＝＋－＠"
# A spreadsheet may begin a cell after any of these characters, regardless of the file's separator. The blank ones are
# also among those that may precede a formula.
_SEPARATORS = ",;|"
_BLANK_SEPARATORS = r"\t\n\v\f\r\x85\u2028\u2029"
# Characters that may precede a formula. The apostrophe is one of them, so that a cell that has one gets a second one.
_IGNORED = r"'\"\x00-\x20\x7f-\xa0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"

# Uses only syntax that Python and polars share.
CONTAINS_FORMULA = f"(?:^|[{_SEPARATORS}{_BLANK_SEPARATORS}])[{_IGNORED}]*[{_FORMULA_STARTS}]"

# A character that matters for finding formulas.
IS_SIGNIFICANT = re.compile(f"[{_FORMULA_STARTS}{_SEPARATORS}{_BLANK_SEPARATORS}{_IGNORED}]")

_NEGATIVE_INTEGER = re.compile(r"-[0-9]+\Z")
_IGNORED_BEFORE_FORMULA = re.compile(f"(?<![{_IGNORED}])[{_IGNORED}]*+(?=[{_FORMULA_STARTS}])")
_INNER_CELL_START = rf"(\r\n|[{_BLANK_SEPARATORS}])"
_CELL_START = rf"(^|\r\n|[{_BLANK_SEPARATORS}])"


def escape(text: str) -> str:
    """Put an apostrophe before each formula, wherever a spreadsheet may begin a cell.

    Quoting is not enough: quotes count only at the beginning of what the spreadsheet considers a cell. A negative
    integer is not a formula.
    """
    if _NEGATIVE_INTEGER.match(text):
        return text
    return _IGNORED_BEFORE_FORMULA.sub(lambda match: re.sub(_start_of_cell(match), r"\1'", match[0]), text)


def unescape(text: str) -> str:
    """Reverse `escape` exactly."""
    return _IGNORED_BEFORE_FORMULA.sub(lambda match: re.sub(_start_of_cell(match) + "'", r"\1", match[0]), text)


def _start_of_cell(match: re.Match[str]) -> str:
    is_cell_start = match.start() == 0 or match.string[match.start() - 1] in _SEPARATORS
    return _CELL_START if is_cell_start else _INNER_CELL_START
