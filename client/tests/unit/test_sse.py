"""Server-sent events are parsed regardless of where chunks end."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from quintet._sse import ServerSentEvent, SseParser

STREAM = (
    'retry: 1500\nid: 7\n\n:\n\nid: 8\ndata: {"a": "\u2028ü"}\n\nid: 9\r\ndata:x\r\ndata: y\r\n\r\nid: 10\ndata: cut'
).encode()
MESSAGES = [ServerSentEvent("8", '{"a": "\u2028ü"}'), ServerSentEvent("9", "x\ny")]


@given(st.lists(st.integers(0, len(STREAM))))
def test_messages_do_not_depend_on_the_chunks(cuts):
    parser = SseParser()
    bounds = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in itertools.pairwise(bounds)]
    assert [message for chunk in chunks for message in parser.feed(chunk)] == MESSAGES
    assert (parser.last_id, parser.retry_seconds) == ("9", 1.5)


def test_id_without_data_is_the_one_to_resume_after():
    parser = SseParser()
    assert list(parser.feed(b"id: 7\n\n")) == []
    assert parser.last_id == "7"


def test_incomplete_message_is_discarded_before_the_next_connection():
    parser = SseParser("3")
    assert list(parser.feed(b"id: 4\ndata: lost")) == []
    parser.reset()
    assert parser.last_id == "3"
    assert list(parser.feed(b"id: 4\ndata: complete\n\n")) == [ServerSentEvent("4", "complete")]


def test_unknown_fields_and_invalid_values_are_ignored():
    parser = SseParser()
    assert list(parser.feed(b"event: x\nretry: soon\nid: a\0b\nfoo\ndata: 1\n\n")) == [ServerSentEvent("", "1")]
    assert parser.retry_seconds is None
