import pytest
from pydantic import TypeAdapter, ValidationError

from event_service.domain.names import Consumer, Name, Producer, StreamName

NAME, STREAM, PRODUCER, CONSUMER = (TypeAdapter(kind) for kind in (Name, StreamName, Producer, Consumer))


@pytest.mark.parametrize("adapter", [NAME, STREAM, PRODUCER, CONSUMER])
@pytest.mark.parametrize(
    "name",
    ["a", "Webshop order was placed", "x" * 255, "…", "...", "é", "e\u0301", "שלום", "🍷", "\u200b",
     "'; DROP TABLE x", "%_\\"],
)  # fmt: skip
def test_plain_text_is_a_valid_name_and_stays_unchanged(adapter, name):
    assert adapter.validate_python(name) == name


@pytest.mark.parametrize("adapter", [NAME, STREAM, PRODUCER, CONSUMER])
@pytest.mark.parametrize(
    "name", ["", " ", "\u2003", ".", "..", "x" * 256, "a\nb", "a\tb", "\x7f", "a\x85", "\x1b[0m", "\0"]
)
def test_invalid_name_is_rejected(adapter, name):
    with pytest.raises(ValidationError):
        adapter.validate_python(name)


def test_slash_and_comma_are_rejected_where_paths_or_headers_use_them():
    assert NAME.validate_python("/path/a,b")
    assert STREAM.validate_python("a,b")
    assert PRODUCER.validate_python("a/b")
    for adapter, name in ((STREAM, "a/b"), (PRODUCER, "a,b"), (CONSUMER, "a/b"), (CONSUMER, "a,b")):
        with pytest.raises(ValidationError, match="must not contain"):
            adapter.validate_python(name)
