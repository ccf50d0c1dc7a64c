"""The coordinates of small charts."""

import pytest

from console_service.sparklines import HEIGHT, WIDTH, bars, lines


def points(line):
    return [tuple(map(float, point.split(","))) for point in line.split()]


def test_lines_share_one_scale_and_fill_the_picture():
    low, high = (points(line) for line in lines([0, 5], [5, 10, 7.5]))
    assert [x for x, _ in high] == [1.5, WIDTH / 2, WIDTH - 1.5]
    assert [y for _, y in low] == [HEIGHT - 1.5, HEIGHT / 2]
    assert [y for _, y in high] == [HEIGHT / 2, 1.5, pytest.approx(HEIGHT / 4, abs=1)]


@pytest.mark.parametrize("series", [[], [3], [3, 3], [0, 0]])
def test_line_without_differences_is_level(series):
    (line,) = lines(series)
    assert [y for _, y in points(line)] == [HEIGHT / 2] * len(series)


def test_bars_begin_at_zero_and_small_values_stay_visible():
    tall, none, tiny = bars([1000, 0, 1])
    assert (tall["y"], tall["height"]) == (0, HEIGHT)
    assert none["height"] == 0
    assert (tiny["y"], tiny["height"]) == (HEIGHT - 1, 1)
    assert tiny["x"] + tiny["width"] <= WIDTH
    assert bars([]) == []
