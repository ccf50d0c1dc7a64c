"""The additional format of dates that an upload may request, in the notation of strptime."""

import re
from itertools import pairwise

_MAX_LENGTH = 40
_PARTS = {"%d": "day", "%m": "month", "%b": "month", "%B": "month", "%Y": "year", "%y": "year"}
_PATTERNS = {
    "%d": "[0-9]{1,2}", "%m": "[0-9]{1,2}", "%b": "[A-Za-z]{3,9}", "%B": "[A-Za-z]{3,9}", "%Y": "[0-9]{4}",
    "%y": "[0-9]{2}",
}  # fmt: skip
_DIRECTIVE_OR_CHARACTER = re.compile("%.?|[^%]", re.DOTALL)


def is_date_format(text: str) -> bool:
    """Return whether the text consists of one directive each for day, month and year, and of plain characters."""
    directives = [item for item in _DIRECTIVE_OR_CHARACTER.findall(text) if item.startswith("%")]
    parts = sorted(_PARTS.get(directive, "") for directive in directives)
    return len(text) <= _MAX_LENGTH and text.isprintable() and parts == ["day", "month", "year"]


def compile_date_format(date_format: str) -> tuple[str, list[str]]:
    """Return the format as a regular expression, and the directives that its groups match."""
    items = _DIRECTIVE_OR_CHARACTER.findall(date_format)
    pattern = "".join(f"({_PATTERNS[item]})" if item in _PARTS else re.escape(item) for item in items)
    if any(first in _PARTS and second in _PARTS for first, second in pairwise(items)):
        # Without a separator, "1112000" could be two dates.
        pattern = pattern.replace("{1,2}", "{2}")
    return f"^{pattern}$", [item for item in items if item in _PARTS]
