"""Reads of charts that combine roll-ups and points; all statements of one read must see the same state."""

from zoneinfo import ZoneInfo

from chassis.db import Transaction
from factory_service.domain.buckets import (
    MAX_BUCKETS,
    MIN_ROLLUP_WIDTH,
    bucket_spans,
    check_bucket_count,
    check_combined_points,
    interval_span,
    usable_rollups,
)
from factory_service.domain.charts import MAX_POINTS
from factory_service.store import attainment, charts, downsampling, rollups
from factory_service.store.replica import Row

_NO_BUCKETS = '{"buckets":[]}'


def find_downsampled(tx: Transaction, part: str, id_: int, first: int, last: int, points: int) -> Row | None:
    """Return tag, body and number of points; None if the factory does not exist."""
    extent = charts.find_extent(tx, id_, first, last)
    if extent is None:
        return None
    if extent.first is None or extent.last is None or not _has_more_points(tx, id_, extent, points):
        (row,) = tx.rows(charts.FULL[part], id=id_, first=first, last=last, is_filtered=True)
        return row
    span, width = interval_span(extent.first, extent.last, points)
    if width < 2 * MIN_ROLLUP_WIDTH and _has_more_points(tx, id_, extent, MAX_POINTS):
        span, width = interval_span(extent.first, extent.last, points, MIN_ROLLUP_WIDTH)
    widths = usable_rollups(width) if extent.has_rollups else ()
    return downsampling.get_extremes(tx, part, id_, extent.tag, span, width, widths)


def _has_more_points(tx: Transaction, id_: int, extent: charts.Extent, points: int) -> bool:
    first, last = extent.first or 0, extent.last or 0
    return last - first >= points and charts.count_points(tx, id_, first, last, points + 1) > points


def find_attainment(tx: Transaction, id_: int, first: int, last: int, width: int, zone: ZoneInfo) -> Row | None:
    """Return tag, body and number of buckets; None if the factory does not exist.

    Raise Invalid if the response would have too many buckets, or if too many points would have to be read.
    """
    extent = charts.find_extent(tx, id_, first, last)
    if extent is None:
        return None
    if extent.first is None or extent.last is None:
        return extent.tag, _NO_BUCKETS, 0
    widths = usable_rollups(width) if extent.has_rollups else ()
    if width % MIN_ROLLUP_WIDTH:
        _check_points(tx, id_, extent, width)
    elif widths:
        # Each roll-up contains a point, and a bucket contains or begins within at most this number of them.
        rollups_per_bucket = width // widths[0] + 1
        limit = MAX_BUCKETS * rollups_per_bucket + 1
        count = rollups.count_rollups(tx, id_, widths[0], extent.first, extent.last, limit)
        check_bucket_count(-(-count // rollups_per_bucket))
    spans = bucket_spans(width, zone, extent.first, extent.last)
    return attainment.get_buckets(tx, id_, extent.tag, spans, width, widths)


def _check_points(tx: Transaction, id_: int, extent: charts.Extent, width: int) -> None:
    """Check the number of points read at the limits of buckets, which are within quarter hours."""
    first, last = extent.first or 0, extent.last or 0
    if ((last - first) // width + 2) * MIN_ROLLUP_WIDTH > MAX_POINTS:
        check_combined_points(charts.count_points(tx, id_, first, last, MAX_POINTS + 1))
