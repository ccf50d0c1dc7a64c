"""JSON becomes models with aware times; unknown fields are ignored."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quintet import QuintetError, models
from quintet._decoding import decode, format_time, parse_time, unix_seconds

MOMENT = datetime(2026, 11, 27, 10, 15, 1, 500000, tzinfo=timezone.utc)
CONSUMER = {
    "consumer": "mailer",
    "eventName": "OrderPlaced",
    "offset": 1,
    "lag": 2,
    "moved_at": "2026-11-27T10:15:01.5Z",
    "stuck": {"event": "e", "since": "2026-11-27T10:15:01.5Z", "nacks": 1, "reason": "r"},
}


def test_nested_objects_names_and_times():
    state = decode(models.ConsumerState, CONSUMER)
    assert (state.event_name, state.moved_at, state.missed) == ("OrderPlaced", MOMENT, None)
    assert state.stuck == models.BlockingEvent(event="e", since=MOMENT, nacks=1, reason="r")
    assert state.is_stuck
    assert not decode(models.ConsumerState, CONSUMER | {"stuck": None}).is_stuck


def test_fields_of_a_newer_service_are_ignored():
    newer = CONSUMER | {"added": 1, "stuck": CONSUMER["stuck"] | {"added": 2}}
    assert decode(models.ConsumerState, newer) == decode(models.ConsumerState, CONSUMER)


@pytest.mark.parametrize(
    "document",
    [None, [], "text", {}, CONSUMER | {"moved_at": "yesterday"}, CONSUMER | {"moved_at": 1e99}, {"stuck": 1}],
)
def test_document_of_another_program_is_an_error(document):
    with pytest.raises(QuintetError, match="ConsumerState"):
        decode(models.ConsumerState, document)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-27T10:15:01.5Z",
        "2026-11-27T10:15:01.500Z",
        "2026-11-27T10:15:01.500000+00:00",
        "2026-11-27t11:15:01.50000000001+01:00",
        "2026-11-27 10:15:01.5",
    ],
)
def test_every_form_of_a_time(text):
    assert parse_time(text) == MOMENT


@given(st.datetimes(timezones=st.just(timezone.utc), min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)))
def test_times_are_sent_as_they_are_read(time):
    assert parse_time(format_time(time)) == time
    assert parse_time(unix_seconds(time)) == time.replace(microsecond=0)


def test_times_of_other_zones_and_kinds():
    berlin = MOMENT.astimezone(timezone(timedelta(hours=1)))
    assert unix_seconds(berlin) == unix_seconds("2026-11-27T10:15:01Z") == unix_seconds(1795774501)
    assert unix_seconds(1795774501.75) == 1795774501
    assert unix_seconds(-0.5) == -1
    assert format_time("2026-11-27T10:15:01Z") == "2026-11-27T10:15:01Z"


@pytest.mark.parametrize("convert", [format_time, unix_seconds])
def test_time_without_zone_is_rejected(convert):
    with pytest.raises(ValueError, match="time zone"):
        convert(datetime(2026, 11, 27))


def test_chart_has_points_with_times():
    data = {"time": [0, 60], "sprocket_production_actual": [1, 2], "sprocket_production_goal": [3, 4]}
    chart = models.Chart.from_json({"chart_data": data})
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert list(chart.points()) == [(epoch, 1, 3), (epoch + timedelta(minutes=1), 2, 4)]
    assert len(chart) == 2


def test_progress_has_a_percentage_if_the_size_is_known():
    assert models.TransferProgress(1, 4).percent == 25
    assert models.TransferProgress(0, 0).percent == 100
    assert models.TransferProgress(1, None).percent is None
