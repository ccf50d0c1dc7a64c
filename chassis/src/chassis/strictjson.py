"""JSON as RFC 8259 has it, without what Python's own parser lets through (NaN, twins of a key, endless nesting)."""

import json
import math
import re
from typing import Any

from pydantic_core import from_json, to_json

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
    """What nearly every body is: parsed and checked without a step of Python for each value, four times as fast.

    _UNSURE where anything might be wrong with it: then the careful way says what.
    """
    if _SPELLED.search(raw):
        return _UNSURE
    try:
        value = from_json(raw, allow_inf_nan=False)
    except ValueError:
        return _UNSURE
    sent, taken = _without_strings(raw), _without_strings(to_json(value, inf_nan_mode="constants"))
    brackets = sent.translate(None, _ALL_BUT_BRACKETS)
    for _ in range(deepest):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    # Outside of strings a colon stands for a key; one that stood twice is missing among those that were taken.
    # A number too large for a float has become Infinity.
    is_sure = not brackets and sent.count(b":") == taken.count(b":") and b"I" not in taken
    return value if is_sure else _UNSURE


def _without_strings(raw: bytes) -> bytes:
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(raw.split(b'"')[::2])


_UNSURE = object()
# U+0000 and halves of surrogate pairs can only be spelled.
_SPELLED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_ALL_BUT_BRACKETS = bytes(code for code in range(256) if chr(code) not in "[]{}")


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
