"""Coordinates of small charts, which templates draw as SVG."""

from collections.abc import Sequence

WIDTH, HEIGHT = 120, 28
# Lines are 1.5 wide and must not be cut off at the edges.
_MARGIN = 1.5


def lines(*series: Sequence[float]) -> list[str]:
    """Return the points of a polyline for each series; all have the same scale."""
    values = [value for one in series for value in one]
    lowest, highest = min(values, default=0), max(values, default=0)

    def y(value: float) -> float:
        share = (value - lowest) / (highest - lowest) if highest > lowest else 0.5
        return round(HEIGHT - _MARGIN - share * (HEIGHT - 2 * _MARGIN), 1)

    def x(index: int, count: int) -> float:
        return round(_MARGIN + index * (WIDTH - 2 * _MARGIN) / max(1, count - 1), 1)

    return [" ".join(f"{x(index, len(one))},{y(value)}" for index, value in enumerate(one)) for one in series]


def bars(values: Sequence[float]) -> list[dict[str, float]]:
    """Return the rectangle of each value, from 0 to the greatest; a value above 0 is at least one pixel high."""
    highest, step = max(values, default=0), WIDTH / max(1, len(values))
    heights = [max(1.0, HEIGHT * value / highest) if value > 0 else 0.0 for value in values]
    return [
        {
            "x": round(index * step, 1),
            "y": round(HEIGHT - height, 1),
            "width": round(0.8 * step, 1),
            "height": round(height, 1),
        }
        for index, height in enumerate(heights)
    ]
