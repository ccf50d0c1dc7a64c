"""JSON as RFC 8259 has it, without what Python's own parser lets through (NaN, twins of a key, endless nesting, numbers
that it rounds)."""

import json
import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from chassis.errors import Invalid

DEEPEST = 64
_CONTAINERS = (dict, list)
# Fifteen digits and a point; a number without an exponent that is no longer comes back from a 64-bit float as it was.
_ALWAYS_EXACT = 16
# After an even number of backslashes: else the backslash is text itself.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def loads(raw: bytes) -> Any:
    """Raises Invalid, naming the place, for what others would read differently or could not read at all."""
    try:
        text = raw.decode("utf-8")
        value = _decoder.decode(text)
    except UnicodeDecodeError as error:
        raise Invalid.field("body", f"must be valid UTF-8 (invalid byte at offset {error.start})") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Invalid.field("body", f"must be valid JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise Invalid.field("body", f"must not be nested more than {DEEPEST} levels deep") from None
    except ValueError as error:
        raise Invalid.field("body", _reason(error)) from None
    # The brackets in the text bound the depth, which spares most small bodies the walk.
    if text.count("[") + text.count("{") > DEEPEST and _is_too_deep(value):
        raise Invalid.field("body", f"must not be nested more than {DEEPEST} levels deep")
    if "\\u" in text:
        _refuse_unstorable(text, value)
    return value


def _reason(error: ValueError) -> str:
    return "a number has too many digits" if "digit" in str(error) else str(error)


def _exact(text: str) -> float:
    """Return the number that is written as `text`; raise ValueError where a 64-bit float would change it."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    if (len(text) > _ALWAYS_EXACT or "e" in text or "E" in text) and not _is_kept(text, number):
        raise ValueError(f"the number {text[:20]} must be one that a 64-bit float can hold")
    return number


def _is_kept(text: str, number: float) -> bool:
    try:
        return Decimal(text) == Decimal(repr(number))
    except InvalidOperation:
        # The exponent is beyond even what Decimal can hold.
        return False


def _no_constant(name: str) -> None:
    raise ValueError(f"must be valid JSON: {name} is not allowed")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twin = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {json.dumps(twin[:64])} must not be repeated within an object")
    return result


_decoder = json.JSONDecoder(parse_float=_exact, parse_constant=_no_constant, object_pairs_hook=_unique)


def _is_too_deep(value: Any) -> bool:
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(DEEPEST):
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) in _CONTAINERS
        ]
    return bool(level)


def _refuse_unstorable(text: str, value: Any) -> None:
    """Escapes can spell what UTF-8 and Postgres cannot hold."""
    if _NUL.search(text):
        raise Invalid.field("body", "must not contain the character U+0000")
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Invalid.field("body", "must not contain a lone surrogate") from None


def dumps(value: Any) -> str:
    """Compact, Unicode as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
