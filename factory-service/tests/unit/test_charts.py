import hypothesis
import pytest
from hypothesis import strategies

from chassis.errors import Invalid
from factory_service.domain.charts import bucket_seconds, check_lengths, points_of

columns = strategies.lists(strategies.tuples(strategies.integers(0, 30), strategies.integers(), strategies.integers()))


@hypothesis.given(columns)
def test_points_are_sorted_and_the_last_of_equal_times_stays(rows):
    points = points_of(*(list(column) for column in zip(*rows, strict=True))) if rows else points_of([], [], [])
    expected = {time: (actual, goal) for time, actual, goal in rows}
    assert points.time == sorted(expected)
    assert list(zip(points.actual, points.goal, strict=True)) == [expected[time] for time in points.time]


@pytest.mark.parametrize(("text", "seconds"), [("1s", 1), ("5m", 300), ("2h", 7200), ("366d", 366 * 86400)])
def test_a_width_is_a_number_and_a_unit(text, seconds):
    assert bucket_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "0m", "05m", "5 m", "-5m", "5w", "367d", "999999999d", "५m"])
def test_what_is_no_width_is_refused(text):
    with pytest.raises(ValueError, match="must be a width"):
        bucket_seconds(text)


def test_the_first_place_that_is_missing_is_named():
    with pytest.raises(Invalid, match=r"^chart\.b\.2: is missing"):
        check_lengths({"a": 3, "b": 2, "c": 5}, "chart")
