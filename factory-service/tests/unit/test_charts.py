import hypothesis
import pytest
from hypothesis import strategies

from chassis.errors import Invalid
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


def test_arrays_of_unequal_length_report_the_first_missing_position():
    with pytest.raises(Invalid, match=r"^chart\.b\.2: is required"):
        check_equal_lengths({"a": 3, "b": 2, "c": 5}, "chart")
