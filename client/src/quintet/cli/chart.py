"""Charts that are drawn with characters."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from quintet.cli.output import styled

if TYPE_CHECKING:
    from quintet.models import Chart

_BARS = "▁▂▃▄▅▆▇█"
_HEIGHT = 12
# A braille character has 2 columns and 4 rows of dots; each dot is one bit of its code.
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_GOAL = "─"
# The labels of the vertical axis, and the axis.
_MAX_LABEL_WIDTH = 11
_MAX_WIDTH = 120


def sparkline(values: Sequence[int]) -> str:
    """Return one bar per value, between the smallest and the largest one."""
    if not values:
        return ""
    low, high = min(values), max(values)
    steps = len(_BARS) - 1
    return "".join(_BARS[(value - low) * steps // (high - low) if high > low else steps // 2] for value in values)


def width_in_points() -> int:
    """Return how many points a chart on this terminal can show."""
    return max(6, 2 * (_width() - _MAX_LABEL_WIDTH))


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _MAX_WIDTH)


def draw_chart(data: "Chart") -> None:
    """Print the line of the production, and the line of the goal where they do not overlap."""
    low, high = _range(data)
    labels = [_label(low + (high - low) * row / (_HEIGHT - 1)) for row in range(_HEIGHT - 1, -1, -1)]
    label_width = max(map(len, labels))
    columns = _width() - label_width - 2
    canvas = _Canvas(columns, low, high, data.seconds[0], data.seconds[-1])
    canvas.draw_goal(data.seconds, data.goal)
    canvas.draw_line(data.seconds, data.actual)
    for row, line in enumerate(canvas.lines()):
        # Every third row has a label.
        label = labels[row] if row % 3 == 0 or row == _HEIGHT - 1 else ""
        typer.echo(f"{styled(label.rjust(label_width), dim=True)} {styled('┤' if label else '│', dim=True)}{line}")
    typer.echo(styled(_time_axis(data, label_width + 2, columns), dim=True))


def _range(data: "Chart") -> tuple[int, int]:
    """Return the lowest and highest value, which differ; zero is included if it is near."""
    low, high = min(*data.actual, *data.goal), max(*data.actual, *data.goal)
    if 0 < low < high / 3:
        low = 0
    return (low, high) if high > low else (low - 1, high + 1)


def _label(value: float) -> str:
    for limit, divisor, unit in ((10_000_000, 1_000_000, "M"), (100_000, 1000, "k")):
        if abs(value) >= limit:
            return f"{value / divisor:,.0f}{unit}"
    return f"{value:,.0f}"


def _time_axis(data: "Chart", indent: int, width: int) -> str:
    times = data.time
    spans_days = (times[-1] - times[0]).days >= 2
    pattern = "%Y-%m-%d" if spans_days else "%Y-%m-%d %H:%M"
    first, last = (f"{moment.astimezone():{pattern}}" for moment in (times[0], times[-1]))
    return " " * indent + (first if first == last else f"{first}{last:>{max(width - len(first), len(last) + 1)}}")


def legend() -> str:
    return f"{styled('⠒ actual', fg='cyan')}  {styled(f'{_GOAL} goal', fg='yellow')}"


class _Canvas:
    """Cells with dots of the production, and cells of the goal elsewhere."""

    def __init__(self, columns: int, low: int, high: int, start: int, end: int) -> None:
        self._columns, self._low, self._high, self._start, self._end = columns, low, high, start, end
        self._dots = [[0] * columns for _ in range(_HEIGHT)]
        self._is_goal = [[False] * columns for _ in range(_HEIGHT)]

    def _x(self, seconds: int, width: int) -> int:
        span = self._end - self._start
        return (seconds - self._start) * (width - 1) // span if span else 0

    def _y(self, value: int, height: int) -> int:
        return height - 1 - round((value - self._low) * (height - 1) / (self._high - self._low))

    def draw_goal(self, times: Sequence[int], values: Sequence[int]) -> None:
        """Draw the goal of each column, and continue it to the next point."""
        marks = {
            self._x(time, self._columns): self._y(value, _HEIGHT) for time, value in zip(times, values, strict=True)
        }
        row = marks[min(marks)]
        for column in range(self._columns):
            row = marks.get(column, row)
            self._is_goal[row][column] = True

    def draw_line(self, times: Sequence[int], values: Sequence[int]) -> None:
        """Connect the points."""
        width, height = 2 * self._columns, 4 * _HEIGHT
        points = [(self._x(time, width), self._y(value, height)) for time, value in zip(times, values, strict=True)]
        for (x1, y1), (x2, y2) in zip(points, points[1:] or points, strict=False):
            steps = max(abs(x2 - x1), abs(y2 - y1), 1)
            for step in range(steps + 1):
                self._set(x1 + (x2 - x1) * step // steps, y1 + (y2 - y1) * step // steps)

    def _set(self, x: int, y: int) -> None:
        self._dots[y // 4][x // 2] |= _DOTS[x % 2][y % 4]

    def lines(self) -> list[str]:
        return ["".join(map(_cell, dots, is_goal)) for dots, is_goal in zip(self._dots, self._is_goal, strict=True)]


def _cell(dots: int, is_goal: bool) -> str:
    if dots:
        return styled(chr(_BRAILLE + dots), fg="cyan")
    return styled(_GOAL, fg="yellow") if is_goal else " "
