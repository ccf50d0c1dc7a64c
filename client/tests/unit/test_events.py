"""Bodies of appended events and their batches."""

import json
import math
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quintet import NewEvent
from quintet._events import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, batches, event_body, plain_reason, to_json


def test_omitted_parts_have_defaults():
    body = event_body(("OrderPlaced", {"order": 1}), "shop-1")
    assert (body["event"], body["payload"]) == ({"name": "OrderPlaced", "version": 1}, {"order": 1})
    assert (body["system"]["id"], body["system"]["timezone"]) == ("shop-1", "UTC")
    time = datetime.strptime(body["system"]["time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    assert abs(datetime.now(timezone.utc) - time) < timedelta(minutes=1)
    assert body["trigger"]["type"] == "program"


def test_parts_of_system_and_trigger_override_the_defaults():
    time = datetime(2026, 11, 27, 12, tzinfo=timezone(timedelta(hours=2)))
    body = event_body(NewEvent("A", {}, 3, system={"time": time, "name": "x"}, trigger={"name": "cron"}), "p")
    assert body["event"]["version"] == 3
    assert body["system"] == {"id": "p", "name": "x", "time": "2026-11-27 10:00:00", "timezone": "UTC"}
    assert body["trigger"] == {"type": "program", "name": "cron"}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_json_does_not_have_are_rejected(value):
    with pytest.raises(ValueError):
        to_json({"value": value})


@given(st.lists(st.integers(0, 300_000), max_size=12), st.integers(0, 2500))
def test_batches_have_all_events_in_order_within_the_limits(large_sizes, small_count):
    bodies = [{"n": number, "text": "x" * size} for number, size in enumerate(large_sizes + [0] * small_count)]
    sent = []
    for batch, count in batches(bodies):
        events = json.loads(batch)
        assert len(events) == count <= MAX_BATCH_EVENTS
        assert len(batch) <= MAX_BATCH_BYTES
        sent += events
    assert sent == bodies


def test_batches_are_as_large_as_the_limits_allow():
    size = len(to_json({"t": ""}))
    half = MAX_BATCH_BYTES // 2
    exact = [{"t": "x" * (half - size - 2)}, {"t": "x" * (half - size - 1)}]
    assert [(len(batch), count) for batch, count in batches(exact)] == [(MAX_BATCH_BYTES, 2)]
    one_too_many = [exact[0], {"t": exact[1]["t"] + "x"}]
    assert [count for _, count in batches(one_too_many)] == [1, 1]
    assert [count for _, count in batches([{}] * 1001)] == [1000, 1]


def test_event_that_is_too_large_is_sent_alone_so_that_the_service_rejects_it():
    bodies = [{"n": 1}, {"t": "x" * (2 * MAX_BATCH_BYTES)}, {"n": 2}]
    assert [count for _, count in batches(bodies)] == [1, 1, 1]


def test_reason_has_no_control_characters_and_is_not_too_long():
    assert plain_reason(" line\nbreak\t\x00\ud800 ") == "line break"
    assert len(plain_reason("x" * 5000)) == 1000
