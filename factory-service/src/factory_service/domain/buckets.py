"""Buckets of attainment and intervals of downsampled charts: which times belong together."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from chassis.errors import Invalid
from factory_service.domain.charts import MAX_POINTS

MINUTE, HOUR, DAY, WEEK = 60, 3600, 86400, 604800
# Widths of the roll-ups, widest first; each is a multiple of the next.
ROLLUP_WIDTHS = (WEEK, DAY, HOUR, 15 * MINUTE)
MIN_ROLLUP_WIDTH = ROLLUP_WIDTHS[-1]
MAX_BUCKETS = 100_000

_WIDTH = re.compile(r"([1-9][0-9]{0,8})([smhdw])\Z", re.ASCII)
_SECONDS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
_MAX_WIDTH = 366 * DAY
# From the Monday before 1970 until 1970.
_MONDAY = 3 * DAY
# No time zone changes its offset twice in this time.
_PROBE_SECONDS = 6 * DAY
# The end of the year 2200: later times have the offset of this moment.
_LAST_PROBE = 7_289_654_399
_BEFORE_ALL_TIMES = -(2**62)


@dataclass(frozen=True)
class Span:
    """A range of time with one offset from UTC, in which division by the width yields the number of the bucket.

    `shift` converts a time to local time, counted from the beginning of a bucket. The bucket with the number `held` is
    the last one of the previous span; it continues here until the local clock has passed it.
    """

    first: int
    last: int
    shift: int
    began: int = _BEFORE_ALL_TIMES
    held: int = -1
    held_start: int = 0

    def number(self, time: int, width: int) -> int:
        return max((time + self.shift) // width, self.held)

    def start(self, time: int, width: int) -> int:
        """Return when the bucket of the time begins."""
        number = self.number(time, width)
        return self.held_start if number == self.held else max(number * width - self.shift, self.began)


def bucket_seconds(text: str) -> int:
    """Return the width in seconds; raise ValueError if the text is not a valid width."""
    match = _WIDTH.match(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 1 <= seconds <= _MAX_WIDTH:
        raise ValueError("must be a width such as 30s, 5m, 1h, 7d or 1w, at most 366d")
    return seconds


def bucket_spans(width: int, zone: ZoneInfo, first: int, last: int) -> list[Span]:
    """Return the spans from the first to the last time.

    1. A bucket begins when the local clock reaches a whole multiple of the width since 1970; if the width is a multiple
       of a week, since the Monday before.
    2. If the clock is put forward past a multiple, the bucket begins at that moment.
    3. If the clock is put back, the bucket continues until the clock reaches the next multiple, so a day has 25 hours.
       Buckets of an hour or less begin again instead, so none of them is longer than its width.
    """
    anchor = _MONDAY if width % WEEK == 0 else -(-DAY // width) * width
    # A change of the offset before the first time may affect its bucket.
    earliest = max(0, first - width - DAY)
    span = Span(earliest, last, _offset(zone, earliest) + anchor)
    spans = []
    for change in _offset_changes(zone, earliest, last):
        spans.append(replace(span, last=change - 1))
        span = Span(change, last, _offset(zone, change) + anchor, change)
        if width > HOUR:
            before = change - 1
            span = replace(span, held=spans[-1].number(before, width), held_start=spans[-1].start(before, width))
    return [replace(span, first=max(span.first, first)) for span in [*spans, span] if span.last >= first]


def _offset_changes(zone: ZoneInfo, first: int, last: int) -> Iterator[int]:
    """Yield each time after `first` at which the zone has another offset than one second before."""
    time, offset = first, _offset(zone, first)
    while time < min(last, _LAST_PROBE):
        next_time = min(time + _PROBE_SECONDS, last, _LAST_PROBE)
        next_offset = _offset(zone, next_time)
        if next_offset != offset:
            yield time + _seconds_until_change(zone, time, next_time)
        time, offset = next_time, next_offset


def _seconds_until_change(zone: ZoneInfo, first: int, last: int) -> int:
    offset = _offset(zone, first)
    return bisect_left(range(first, last), True, key=lambda time: _offset(zone, time) != offset)


def _offset(zone: ZoneInfo, time: int) -> int:
    offset = datetime.fromtimestamp(min(time, _LAST_PROBE), zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def interval_span(first: int, last: int, points: int, min_unit: int = 1) -> tuple[Span, int]:
    """Return the span and width of the intervals that downsample a chart from the first to the last time.

    An interval contributes at most four points, its extremes, and both ends are kept as well. Long intervals begin and
    end with roll-ups, so that these suffice. Widening them to whole roll-ups costs at most a third of the intervals,
    unless the caller requires roll-ups of `min_unit`.
    """
    count = (points - 2) // 4
    min_width = -(-(last - first + 1) // count)
    unit = next((unit for unit in ROLLUP_WIDTHS if min_width >= 2 * unit), min_unit)
    origin = first - (first + _MONDAY) % unit
    width = -(-(last - origin + 1) // (count * unit)) * unit
    return Span(first, last, -origin), width


def usable_rollups(width: int) -> tuple[int, ...]:
    """Return the widths of the roll-ups of which a bucket can contain a whole one."""
    return tuple(rollup_width for rollup_width in ROLLUP_WIDTHS if rollup_width <= width)


def check_bucket_count(buckets: int) -> None:
    """Raise Invalid if there are too many buckets for one response."""
    if buckets > MAX_BUCKETS:
        hint = f"one response has at most {MAX_BUCKETS} buckets"
        raise Invalid.field("bucket", f"must be wider, or from and to closer to each other: {hint}")


def check_combined_points(points: int) -> None:
    """Raise Invalid if too many points would have to be read because no roll-ups of them can be used."""
    if points > MAX_POINTS:
        hint = f"with other widths, one response combines at most {MAX_POINTS} points"
        raise Invalid.field("bucket", f"must be a multiple of 15m, or from and to closer to each other: {hint}")
