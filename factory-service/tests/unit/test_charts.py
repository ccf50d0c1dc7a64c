import hypothesis
import pytest
from hypothesis import strategies

from chassis.errors import Invalid
from factory_service.domain.buckets import bucket_seconds
from factory_service.domain.charts import check_equal_lengths, points_from_columns

point_rows = strategies.lists(
    strategies.tuples(strategies.integers(0, 30), strategies.integers(), strategies.integers())
)


@hypothesis.given(point_rows)
def test_sorts_points_and_keeps_the_last_of_equal_times(rows):
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]
    points = points_from_columns(*columns)
    expected = {time: (actual, goal) for time, actual, goal in rows}
    assert points.time == sorted(expected)
    assert list(zip(points.actual, points.goal, strict=True)) == [expected[time] for time in points.time]


@pytest.mark.parametrize(("text", "seconds"), [("1s", 1), ("5m", 300), ("2h", 7200), ("366d", 366 * 86400)])
def test_bucket_width_is_a_number_with_a_unit(text, seconds):
    assert bucket_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "0m", "05m", "5 m", "-5m", "53w", "5y", "367d", "999999999d", "५m"])
def test_rejects_invalid_bucket_width(text):
    with pytest.raises(ValueError, match="must be a width"):
        bucket_seconds(text)


def test_arrays_of_unequal_length_report_the_first_missing_position():
    with pytest.raises(Invalid, match=r"^chart\.b\.2: is required"):
        check_equal_lengths({"a": 3, "b": 2, "c": 5}, "chart")
