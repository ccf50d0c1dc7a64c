import itertools
from datetime import UTC, datetime, timedelta

import hypothesis
import pytest
from hypothesis import strategies

from chassis.timestamps import load_timezone
from factory_service.domain.buckets import ROLLUP_WIDTHS, bucket_seconds, bucket_spans, interval_span

MINUTE, HOUR, DAY, WEEK = 60, 3600, 86400, 604800
# Among them: half hours (Lord Howe), a repeated midnight (Havana), a skipped one (Sao Paulo), one minute past midnight
# (St Johns), a whole day that was skipped (Apia), offsets of 45 minutes and, until 1972, of 44:30 minutes.
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana"]
ZONES += ["America/Sao_Paulo", "America/St_Johns", "Pacific/Apia", "Africa/Monrovia", "Africa/Casablanca"]


def bucket_start(time, width, zone, first=0, last=None):
    span = bucket_of(time, bucket_spans(width, load_timezone(zone), first, last or time))
    return span.start(time, width)


def bucket_of(time, spans):
    (span,) = [span for span in spans if span.first <= time <= span.last]
    return span


def local(text, zone="Europe/Berlin", fold=0):
    return int(datetime.fromisoformat(text).replace(tzinfo=load_timezone(zone), fold=fold).timestamp())


def walk(width, zone, first, last):
    """Yield the start of the bucket of every minute, by observing the local clock."""
    start = previous = None
    for time in range(first, last + 1, MINUTE):
        wall = int(datetime.fromtimestamp(time, zone).replace(tzinfo=UTC).timestamp())
        number = (wall + 3 * DAY) // width if width % WEEK == 0 else wall // width
        offset = wall - time
        if start is None or number > previous[0] or (width <= HOUR and previous != (number, offset)):
            start, previous = time, (number, offset)
        yield time, start


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("5m", 300), ("2h", 7200), ("366d", 366 * DAY), ("2w", 14 * DAY)]
)
def test_bucket_width_is_a_number_with_a_unit(text, seconds):
    assert bucket_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "0m", "05m", "5 m", "-5m", "53w", "5y", "367d", "999999999d", "५m"])
def test_rejects_invalid_bucket_width(text):
    with pytest.raises(ValueError, match="must be a width"):
        bucket_seconds(text)


@pytest.mark.parametrize("width", [bucket_seconds("7d"), bucket_seconds("1w"), bucket_seconds("14d")])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_weeks_begin_on_monday_at_midnight(width, zone):
    for text in ("2026-03-29T12:00", "2026-11-26T21:00", "1970-01-03T00:00"):
        start = datetime.fromtimestamp(bucket_start(local(text, zone), width, zone), load_timezone(zone))
        assert (start.weekday(), start.hour, start.minute) == (0, 0, 0)


@pytest.mark.parametrize(
    ("width", "starts"),
    [
        ("1d", ["2026-03-28T00:00", "2026-03-29T00:00", "2026-03-30T00:00"]),
        ("6h", ["2026-03-29T00:00", "2026-03-29T06:00", "2026-03-29T12:00"]),
        ("2h", ["2026-03-29T00:00", "2026-03-29T03:00", "2026-03-29T04:00"]),
        ("1h", ["2026-03-29T01:00", "2026-03-29T03:00", "2026-03-29T04:00"]),
    ],
)
def test_day_on_which_clocks_are_put_forward_has_23_hours(width, starts):
    times = [local(text) for text in starts]
    for start, end in itertools.pairwise(times):
        for time in (start, (start + end) // 2, end - 1):
            assert bucket_start(time, bucket_seconds(width), "Europe/Berlin") == start


@pytest.mark.parametrize(
    ("width", "starts"),
    [
        ("1d", [("2026-10-25T00:00", 0), ("2026-10-26T00:00", 0)]),
        ("6h", [("2026-10-25T00:00", 0), ("2026-10-25T06:00", 0)]),
        ("2h", [("2026-10-25T02:00", 0), ("2026-10-25T04:00", 0)]),
        ("1h", [("2026-10-25T02:00", 0), ("2026-10-25T02:00", 1), ("2026-10-25T03:00", 0)]),
        ("30m", [("2026-10-25T02:30", 0), ("2026-10-25T02:00", 1), ("2026-10-25T02:30", 1)]),
    ],
)
def test_day_on_which_clocks_are_put_back_has_25_hours(width, starts):
    times = [local(text, fold=fold) for text, fold in starts]
    for start, end in itertools.pairwise(times):
        for time in (start, (start + end) // 2, end - 1):
            assert bucket_start(time, bucket_seconds(width), "Europe/Berlin") == start


def test_days_of_zones_with_odd_offsets_begin_at_their_midnight():
    for zone in ("Asia/Kathmandu", "Asia/Kolkata", "Africa/Monrovia"):
        midnight = local("1971-05-05T00:00", zone)
        assert bucket_start(midnight + 500, DAY, zone) == bucket_start(midnight, DAY, zone) == midnight
        assert bucket_start(midnight - 1, DAY, zone) == midnight - DAY


@hypothesis.settings(max_examples=40)
@hypothesis.given(
    zone=strategies.sampled_from(ZONES),
    width=strategies.sampled_from(["30m", "1h", "90m", "2h", "6h", "23h", "1d", "3d", "1w", "2w"]),
    # Since 1973, all offsets are whole minutes.
    day=strategies.integers(1200, 80 * 365),
)
def test_buckets_equal_those_observed_on_the_local_clock(zone, width, day):
    seconds, zone = bucket_seconds(width), load_timezone(zone)
    # Long before, so that the first bucket whose start was observed is complete.
    first = day * DAY
    steps = list(walk(seconds, zone, first - seconds - 2 * DAY, first + 3 * DAY))
    spans = bucket_spans(seconds, zone, first, first + 3 * DAY)
    for time, start in steps:
        if time >= first:
            assert bucket_of(time, spans).start(time, seconds) == start


def test_spans_cover_the_range_without_gaps():
    first, last = local("2020-01-01T00:00"), local("2031-01-01T00:00")
    spans = bucket_spans(DAY, load_timezone("Europe/Berlin"), first, last)
    assert len(spans) == 23
    assert (spans[0].first, spans[-1].last) == (first, last)
    assert all(right.first == left.last + 1 for left, right in itertools.pairwise(spans))


def test_times_after_the_year_9999_have_the_offset_of_the_year_2200():
    time = 2**53
    assert time - DAY < bucket_start(time, DAY, "Europe/Berlin", first=0) <= time
    assert (bucket_start(time, DAY, "Europe/Berlin", first=0) + HOUR) % DAY == 0


@hypothesis.given(
    first=strategies.integers(0, 2**33),
    length=strategies.integers(0, 2**33),
    points=strategies.integers(6, 100_000),
    min_unit=strategies.sampled_from([1, 900]),
)
def test_intervals_of_a_chart_are_few_enough_and_consist_of_whole_rollups(first, length, points, min_unit):
    last = first + length
    span, width = interval_span(first, last, points, min_unit)
    count = (points - 2) // 4
    assert span.number(first, width) == 0 and span.number(last, width) < count
    min_width = -(-(length + 1) // count)
    unit = next((unit for unit in ROLLUP_WIDTHS if min_width >= 2 * unit), min_unit)
    assert width % unit == 0 and (span.start(first, width) + 3 * DAY) % unit == 0


def test_widening_costs_at_most_a_third_of_the_intervals():
    for length in range(1000, 100_000_000, 777_777):
        _span, width = interval_span(1_611_194_818, 1_611_194_818 + length, 200)
        assert length // width >= 49 * 2 // 3 - 1
        assert timedelta(seconds=width * 49) >= timedelta(seconds=length)
