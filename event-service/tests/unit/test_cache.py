"""The cache keeps the schemas of the streams that were used last, and the latest revision of each."""

import pytest

from event_service import cache
from event_service.cache import SchemaCache
from event_service.domain.events import Append
from event_service.domain.schemas import Schema

REJECT_ALL = {("OrderPlaced", 1): Schema(False)}


@pytest.fixture
def schema_cache(monkeypatch):
    monkeypatch.setattr(cache, "_MAX_STREAMS", 3)
    monkeypatch.setattr(cache, "_MAX_BYTES", 100)
    return SchemaCache()


@pytest.fixture
def revision(schema_cache, an_event):
    """Return a function that returns the revision that an append is validated against; 0 if none is cached."""
    return lambda stream: schema_cache.validate(Append(stream, "p", "r", ["id"], [an_event()])).schemas_revision


def test_entry_that_is_replaced_evicts_no_other(schema_cache, revision):
    for stream in "abc":
        schema_cache.put(stream, 1, {}, 10)
    for number in range(2, 10):
        schema_cache.put("c", number, {}, 10)
    assert [revision(stream) for stream in "abc"] == [1, 1, 9]


def test_stream_that_is_in_use_is_not_evicted(schema_cache, revision):
    schema_cache.put("hot", 1, {}, 10)
    for number in range(10):
        schema_cache.put(f"cold {number}", 2, {}, 10)
        assert revision("hot") == 1
    assert [revision(f"cold {number}") for number in (7, 8, 9)] == [0, 2, 2]


def test_number_of_streams_is_limited(schema_cache):
    for number in range(10):
        schema_cache.put(str(number), 1, {}, 10)
    assert len(schema_cache._streams) == 3


def test_size_of_all_schemas_is_limited(schema_cache, revision):
    for stream in "ab":
        schema_cache.put(stream, 1, {}, 50)
    assert [revision(stream) for stream in "ab"] == [1, 1]
    schema_cache.put("c", 1, {}, 10)
    assert [revision(stream) for stream in "abc"] == [0, 1, 1]
    # A stream that is replaced no longer occupies its earlier size.
    for number in range(2, 10):
        schema_cache.put("c", number, {}, 50)
    assert [revision(stream) for stream in "bc"] == [1, 9]
    schema_cache.put("d", 1, {}, 101)
    assert [revision(stream) for stream in "bcd"] == [0, 0, 0]
    schema_cache.put("e", 1, {}, 100)
    assert revision("e") == 1


def test_earlier_revision_does_not_replace_a_later_one(schema_cache, revision):
    schema_cache.put("a", 2, {}, 10)
    schema_cache.put("a", 1, REJECT_ALL, 10)
    assert revision("a") == 2


def test_append_that_violates_a_cached_schema_is_unchanged(schema_cache, revision):
    schema_cache.put("a", 2, REJECT_ALL, 10)
    assert revision("a") == 0
