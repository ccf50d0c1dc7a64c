"""JSON exactly as RFC 8259 defines it; Python's parser also accepts NaN, duplicate keys, and numbers that it rounds."""

import json
import math
import re
import sys
from decimal import Decimal, InvalidOperation
from typing import Any

from chassis.errors import Invalid

MAX_DEPTH = 64
_TOO_DEEP = f"must not be nested more than {MAX_DEPTH} levels deep"
_CONTAINERS = (dict, list)
# A number without an exponent that has at most fifteen digits and a point survives the conversion to a 64-bit float.
_MAX_EXACT_LENGTH = 16
# Only after an even number of backslashes: otherwise the backslash itself is escaped.
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def loads(raw: bytes) -> Any:
    """Parse JSON; raise Invalid for everything that parsers interpret differently, with its position if known."""
    try:
        text = raw.decode("utf-8")
        value = _decoder.decode(text)
    except UnicodeDecodeError as error:
        raise Invalid.field("body", f"must be valid UTF-8 (invalid byte at offset {error.start})") from None
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, column {error.colno}"
        raise Invalid.field("body", f"must be valid JSON: {error.msg} at {position}") from None
    except RecursionError:
        raise Invalid.field("body", _TOO_DEEP) from None
    except ValueError as error:
        raise Invalid.field("body", _error_message(error)) from None
    # The number of brackets in the text bounds the depth, so most small bodies need no traversal.
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_too_deep(value):
        raise Invalid.field("body", _TOO_DEEP)
    _reject_unstorable_text(text, value)
    return value


def _error_message(error: ValueError) -> str:
    if "integer string conversion" in str(error):
        return f"must not contain an integer of more than {sys.get_int_max_str_digits()} digits"
    return str(error)


def _parse_float(text: str) -> float:
    """Return the number that `text` denotes; raise ValueError if a 64-bit float would change it."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} must be within the range of a 64-bit float")
    if (len(text) > _MAX_EXACT_LENGTH or "e" in text or "E" in text) and not _is_exact(text, number):
        raise ValueError(f"the number {text[:20]} must be exactly representable as a 64-bit float")
    return number


def _is_exact(text: str, number: float) -> bool:
    try:
        return Decimal(text) == Decimal(repr(number))
    except InvalidOperation:
        # The exponent exceeds even the range of Decimal.
        return False


def _reject_constant(name: str) -> None:
    raise ValueError(f"must be valid JSON: {name} is not allowed")


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        duplicate = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {json.dumps(duplicate[:64])} must not be repeated within an object")
    return result


_decoder = json.JSONDecoder(parse_float=_parse_float, parse_constant=_reject_constant, object_pairs_hook=_unique_object)


def _is_too_deep(value: Any) -> bool:
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) in _CONTAINERS
        ]
    return bool(level)


def _reject_unstorable_text(text: str, value: Any) -> None:
    """Raise Invalid for characters that JSON can escape, but that Postgres or UTF-8 cannot represent."""
    # A search for fixed text is much faster than what follows it, and most escaped characters are others.
    if "\\u0000" in text and _ESCAPED_NUL.search(text):
        raise Invalid.field("body", "must not contain the character U+0000")
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise Invalid.field("body", "must not contain a lone surrogate") from None


def dumps(value: Any) -> str:
    """Return compact JSON; characters outside ASCII are not escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
