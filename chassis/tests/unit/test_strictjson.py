"""JSON documents that are accepted and rejected (FAULTS 3.1)."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Invalid
from chassis.strictjson import dumps, loads

INVALID = {
    "empty": b"",
    "blank": b" \n",
    "truncated": b'{"a": [1, 2',
    "trailing garbage": b"{} x",
    "two documents": b"{} {}",
    "BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without BOM": '{"a": 1}'.encode("utf-16-le"),
    "Latin-1": '{"a": "ä"}'.encode("latin-1"),
    "overlong UTF-8": b'"\xc0\xaf"',
    "surrogate in UTF-8": b'"\xed\xa0\x80"',
    "duplicate keys": b'{"a": 1, "a": 1}',
    "nested duplicate keys": b'[{"b": {"a": 1, "c": 2, "a": 3}}]',
    "duplicate keys by escape": b'{"a": 1, "\\u0061": 2}',
    "NaN": b'{"a": NaN}',
    "Infinity": b"[Infinity]",
    "-Infinity": b"-Infinity",
    "1e400": b"1e400",
    "-1e400": b"[-1e400]",
    "1e-400": b"1e-400",
    "an exponent of 20 digits": b"[1e-99999999999999999999]",
    "a fraction of 19 digits": b"[0.1234567890123456789]",
    "a fraction that would become an integer": b"1234567890123456789.5",
    "0.1 with a remainder": b"0.10000000000000001",
    "a denormal number with too many digits": b"1.2345678e-320",
    "5000 digits": b"1" * 5000,
    "5000 digits and a fraction": b"1" * 5000 + b".5",
    "100,000 brackets": b"[" * 100_000,
    "100,000 closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"a":' * 100_000,
    "depth 65": b"[" * 65 + b"]" * 65,
    "depth 65 in objects": b'{"a":' * 64 + b"{}" + b"}" * 64,
    "U+0000 escaped": b'"a\\u0000b"',
    "U+0000 in a key": b'{"a\\u0000b": 1}',
    "U+0000 after an escaped backslash": b'"\\\\\\u0000"',
    "U+0000 raw": b'"a\0b"',
    "U+0000 outside": b"{}\0",
    "lone surrogate": b'"\\ud800"',
    "lone low surrogate": b'["\\udc00"]',
    "lone surrogate in upper case": b'"\\uDABC"',
    "lone surrogate in a key": b'{"\\ud800": 1}',
    "surrogates in reverse order": b'"\\udc00\\ud800"',
    "line break in text": b'"a\nb"',
    "single quotes": b"{'a': 1}",
    "comment": b"{} // comment",
    "trailing comma": b"[1,]",
    "plus": b"+5",
    "hexadecimal": b"0x10",
    "leading zero": b"01",
    "full-width digit": "１".encode(),
}


@pytest.mark.parametrize("raw", INVALID.values(), ids=INVALID.keys())
def test_rejects_invalid_json_within_a_second_of_processor_time_and_names_the_body(raw: bytes) -> None:
    started_at = time.thread_time()
    with pytest.raises(Invalid) as caught:
        loads(raw)
    assert time.thread_time() - started_at < 1
    assert [field for field, _ in caught.value.errors] == ["body"]
    assert len(caught.value.detail) < 200


VALID: dict[str, tuple[bytes, Any]] = {
    "scalars": (b' [null, true, 1, -1.5, "x"] ', [None, True, 1, -1.5, "x"]),
    "emoji as a pair of escapes": (b'"\\ud83d\\ude00"', "😀"),
    "the text backslash u0000": (b'"\\\\u0000"', "\\u0000"),
    "backslashes before that text": (b'"\\\\\\\\u0000 \\u00e9"', "\\\\u0000 é"),
    "4,000 digits": (b"1" * 4000, int("1" * 4000)),
    "as many digits as a float needs": (b"[0.30000000000000004, 5e-324]", [0.30000000000000004, 5e-324]),
    "the largest float": (b"-1.7976931348623157e308", -1.7976931348623157e308),
    "zeros that change nothing": (b"[1.0000000000000000000, 1E2, 0e9, -0.0]", [1.0, 100.0, 0.0, -0.0]),
    "the same key in two objects": (b'[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
    "brackets in text": (b'"' + b"[" * 1000 + b'"', "[" * 1000),
    "wide, not deep": (b"[" + b"[]," * 999 + b"[]]", [[]] * 1000),
    "replacement character": ("\ufffd".encode().join([b'"', b'"']), "\ufffd"),
}


@pytest.mark.parametrize(("raw", "value"), VALID.values(), ids=VALID.keys())
def test_accepts_valid_json(raw: bytes, value: Any) -> None:
    assert loads(raw) == value


def test_accepts_depth_64_with_any_innermost_value() -> None:
    for innermost in (b"[]", b"{}", b"[1]"):
        assert loads(b"[" * 63 + innermost + b"]" * 63)
        with pytest.raises(Invalid, match="more than 64 levels"):
            loads(b"[" * 64 + innermost + b"]" * 64)


def test_parses_100_000_keys_within_a_second_of_processor_time() -> None:
    raw = json.dumps({f"{number:x}": 0 for number in range(100_000)}).encode()
    started_at = time.thread_time()
    assert len(loads(raw)) == 100_000
    assert time.thread_time() - started_at < 1


storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | storable,
    lambda inner: st.lists(inner) | st.dictionaries(storable, inner),
    max_leaves=30,
)


@pytest.mark.fuzz
@given(documents)
def test_serialized_values_are_parsed_unchanged(value: Any) -> None:
    assert loads(dumps(value).encode()) == value
    assert loads(json.dumps(value).encode()) == value


@given(
    st.from_regex(
        r"-?(0|[1-9][0-9]{0,25})\.[0-9]{1,25}([eE][+-]?[0-9]{1,3})?", fullmatch=True, alphabet="0123456789.-+eE"
    )
)
def test_fraction_is_parsed_exactly_or_rejected(text: str) -> None:
    try:
        number = loads(text.encode())
    except Invalid:
        return
    assert Decimal(dumps(number)) == Decimal(text)


@given(st.text() | st.lists(st.text()))
def test_accepts_exactly_the_text_without_surrogates_and_nul(value: Any) -> None:
    parts = "".join(value)
    raw = json.dumps(value).encode()
    if "\0" in parts or any("\ud800" <= char <= "\udfff" for char in parts):
        with pytest.raises(Invalid):
            loads(raw)
    else:
        assert loads(raw) == value
