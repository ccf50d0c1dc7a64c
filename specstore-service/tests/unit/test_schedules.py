from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Invalid
from specstore_service.domain.schedules import next_due, parse


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        (None, None),
        ("every 60s", 60),
        ("every 1m", 60),
        ("every 90s", 90),
        ("every 2h", 7200),
        ("every 1d", 86400),
        ("every 1w", 604800),
        ("every  3 d ", 259200),
        (" every 1d", 86400),
        ("  every    4d   ", 345600),
        ("\tevery\n2 w\r\n", 1209600),
        ("every 520w", 520 * 604800),
    ],
)
def test_schedule_is_parsed_into_seconds(schedule, seconds):
    assert parse(schedule) == seconds


@pytest.mark.parametrize("schedule", [1, 60.0, True, [], {}, ["every 1d"]])
def test_schedule_must_be_a_string(schedule):
    with pytest.raises(Invalid, match=r"^Schedule should be a string$"):
        parse(schedule)


@pytest.mark.parametrize("schedule", ["", "1d", "Every 1d", "each 1d", "everyday", "in 1d"])
def test_schedule_must_start_with_every(schedule):
    with pytest.raises(Invalid, match=r"^Schedule should start with 'every'$"):
        parse(schedule)


@pytest.mark.parametrize("schedule", ["every", "every ", "every 1", "every 1y", "every 1D", "every 5 minutes!"])
def test_unknown_time_unit_is_rejected(schedule):
    with pytest.raises(Invalid, match=r"^Bad time unit for schedule, only s/m/h/d/w are allowed$"):
        parse(schedule)


@pytest.mark.parametrize(
    "schedule",
    ["every d", "every 1.5d", "every oned", "every 1e3s", "every １d", "every 0x10m", "every " + "9" * 30 + "d"],
)
def test_time_must_be_an_integer(schedule):
    with pytest.raises(Invalid, match=r"^Failed to parse time number$"):
        parse(schedule)


@pytest.mark.parametrize("schedule", ["every 59s", "every 0d", "every -1d", "every 1s"])
def test_interval_below_one_minute_is_rejected(schedule):
    with pytest.raises(Invalid, match=r"^Can't schedule tasks for less than one minute$"):
        parse(schedule)


def test_interval_above_ten_years_is_rejected():
    with pytest.raises(Invalid, match="520 weeks"):
        parse("every 521w")


FIRST_DUE = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_next_due_time_skips_missed_runs():
    assert next_due(FIRST_DUE, 86400, FIRST_DUE + timedelta(days=3, hours=5)) == FIRST_DUE + timedelta(days=4)


@given(every_seconds=st.integers(60, 10**7), delay_seconds=st.integers(0, 10**9))
def test_next_due_time_is_the_first_multiple_of_the_interval_after_now(every_seconds, delay_seconds):
    now = FIRST_DUE + timedelta(seconds=delay_seconds)
    due = next_due(FIRST_DUE, every_seconds, now)
    assert now < due <= now + timedelta(seconds=every_seconds)
    assert (due - FIRST_DUE).total_seconds() % every_seconds == 0
