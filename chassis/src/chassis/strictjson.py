"""JSON as RFC 8259 has it, without what Python's own parser lets through (NaN, twins of a key, endless nesting)."""

import json
import math
import re
from typing import Any

import orjson

from chassis.errors import Invalid

DEEPEST = 64
# After an even number of backslashes: else the backslash is text itself.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def loads(raw: bytes, *, deepest: int = DEEPEST) -> Any:
    """Raises Invalid, naming the place, for what others would read differently or could not read at all."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid.field("body", f"no UTF-8 at byte {error.start}") from None
    value = _quickly(raw, deepest)
    return _carefully(text, deepest) if value is _UNSURE else value


def _carefully(text: str, deepest: int) -> Any:
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Invalid.field("body", f"no JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise Invalid.field("body", f"nested deeper than {deepest}") from None
    except ValueError as error:
        raise Invalid.field("body", _reason(error)) from None
    # Brackets in the text bound the depth: most bodies are spared the walk.
    if text.count("[") + text.count("{") > deepest and _depth_exceeds(value, deepest):
        raise Invalid.field("body", f"nested deeper than {deepest}")
    if "\\u" in text:
        _refuse_unstorable(text, value)
    return value


def _quickly(raw: bytes, deepest: int) -> Any:
    """What nearly every body is: parsed and checked without a step of Python for each value, twice as fast as `json`.

    _UNSURE where anything might be wrong with it: then the careful way says what.
    """
    if b"\\" in raw and _SPELLED.search(raw):
        return _UNSURE
    # orjson would round a whole number of more than 64 bits.
    digits = raw.translate(_DIGITS_ALIKE)
    if _TOO_MANY in digits or _TOO_MANY_BELOW_ZERO in digits:
        return _UNSURE
    try:
        value = orjson.loads(raw)
        again = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    except (ValueError, TypeError):
        return _UNSURE
    # Of two equal keys one is dropped, and its colon with it; nothing adds a colon. What is nested deeper stands
    # further in, and within strings a line break is spelled.
    is_whole = raw.count(b":") == again.count(b":") and b"\n" + b"  " * deepest not in again
    return value if is_whole else _UNSURE


_UNSURE = object()
# U+0000 and halves of surrogate pairs can only be spelled; a colon that is spelled would be counted wrongly.
_SPELLED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F]|003[aA])")
_DIGITS_ALIKE = bytes(ord("0") if chr(code) in "123456789" else code for code in range(256))
_TOO_MANY, _TOO_MANY_BELOW_ZERO = b"0" * 20, b"-" + b"0" * 19


def _reason(error: ValueError) -> str:
    return "a number has too many digits" if "digit" in str(error) else str(error)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twin = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {json.dumps(twin[:64])} stands twice in one object")
    return result


_decoder = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant, object_pairs_hook=_unique)


def _depth_exceeds(value: Any, deepest: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(deepest):
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, dict | list)
        ]
    return bool(level)


def _refuse_unstorable(text: str, value: Any) -> None:
    """Escapes can spell what UTF-8 and Postgres cannot hold."""
    if _NUL.search(text):
        raise Invalid.field("body", "the character U+0000 is not allowed")
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Invalid.field("body", "a lone surrogate is no text") from None


def dumps(value: Any) -> str:
    """Compact, Unicode as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
