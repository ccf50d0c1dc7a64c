"""Tables in Markdown and plots in SVG, both made from the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from measuring import Round, Row, ratios
from processes import GROUPS

COLORS = dict(zip(GROUPS, ("#9c755f", "#4e79a7", "#59a14f", "#e15759", "#f28e2b", "#b07aa1", "#bab0ac"), strict=True))
_WIDTH, _LABELS, _BAR, _GAP, _HEADING = 960, 340, 18, 6, 30


@dataclass(frozen=True)
class Table:
    """The answer to one question; `unit` is what a request of it counts."""

    name: str
    question: str
    rows: Sequence[Row]
    unit: str = "request"
    notes: str = ""
    reference: str = "ours"

    def markdown(self) -> list[str]:
        groups = [group for group in GROUPS if any(_microseconds(row, group) for row in self.rows)]
        head = ["case", "application", f"{self.unit}s/s", "p50 ms", "p99 ms", *groups, "**total µs**"]
        head += [f"time, {self.reference} = 1", f"rate, {self.reference} ÷"]
        lines = [f"## {self.question}", "", f"![Processor time](results/{self.name}.svg)", ""]
        lines += [f"| {' | '.join(head)} |", "|---" * 2 + "|--:" * (len(head) - 2) + "|"]
        for _, rows in groupby(self.rows, lambda row: row.case):
            first, *others = rows
            lines += [_line(row, first, groups) for row in (first, *others)]
        return [*lines, "", *([self.notes, ""] if self.notes else [])]

    def svg(self) -> str:
        """Return a bar per row: its processor time by group; those of a case share a scale."""
        cases = [(case, [*rows]) for case, rows in groupby(self.rows, lambda row: row.case)]
        shapes, y = [_legend()], 2 * _HEADING
        for case, rows in cases:
            shapes.append(f'<text x="8" y="{y + 14}" font-weight="bold">{escape(case)}</text>')
            y += _HEADING - 8
            longest = max(row.median(lambda round_: round_.total) for row in rows)
            for row in rows:
                shapes += _bar(row, y, (_WIDTH - _LABELS - 110) / longest)
                y += _BAR + _GAP
            y += _GAP
        style = "font-family: sans-serif; font-size: 13px"
        size = f'width="{_WIDTH}" height="{y}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_WIDTH} {y}" style="{style}">'
        return "\n".join([head, f'<rect {size} fill="white"/>', *shapes, "</svg>"]) + "\n"


def _line(row: Row, first: Row, groups: Sequence[str]) -> str:
    cells = [row.case, row.application, _number(row.median(lambda round_: round_.per_second))]
    cells += [f"{row.median(lambda round_: round_.p50_ms):.1f}", f"{row.median(lambda round_: round_.p99_ms):.1f}"]
    cells += [_number(_microseconds(row, group)) if _microseconds(row, group) else "" for group in groups]
    cells.append(f"**{_number(row.median(lambda round_: round_.total))}**")
    if row is first:
        cells += ["1", "1"]
    else:
        cells.append(_range(*ratios(first, row, lambda round_: round_.total)))
        cells.append(_range(*ratios(row, first, lambda round_: round_.per_second)))
    return f"| {' | '.join(cells)} |"


def _microseconds(row: Row, group: str) -> float:
    return row.median(lambda round_: round_.microseconds.get(group, 0))


def _range(median: float, low: float, high: float) -> str:
    return f"{median:.2f} ({low:.2f}–{high:.2f})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _legend() -> str:
    items = ['<text x="8" y="20">µs of processor time per request:</text>']
    for index, (group, color) in enumerate(COLORS.items()):
        x = 240 + 100 * index
        items.append(
            f'<rect x="{x}" y="9" width="12" height="12" fill="{color}"/><text x="{x + 17}" y="20">{group}</text>'
        )
    return "\n".join(items)


def _bar(row: Row, y: int, scale: float) -> list[str]:
    shapes = [f'<text x="{_LABELS - 8}" y="{y + 14}" text-anchor="end">{escape(row.application)}</text>']
    x = float(_LABELS)
    for group, color in COLORS.items():
        width = _microseconds(row, group) * scale
        if width:
            shapes.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{color}"/>')
        x += width
    total = row.median(lambda round_: round_.total)
    return [*shapes, f'<text x="{x + 6:.1f}" y="{y + 14}">{_number(total)}</text>']


@dataclass(frozen=True)
class Goal:
    """A figure that is wanted of a ratio to another application in the same rounds."""

    text: str
    minimum: float
    table: str
    case: str
    application: str

    def line(self, tables: Sequence[Table]) -> str:
        rows = [row for table in tables if table.name == self.table for row in table.rows if row.case == self.case]
        others = [row for row in rows if row.application == self.application]
        if not others:
            return f"| {self.text} | ≥ {self.minimum} | not measured | |"
        rate = ratios(others[0], rows[0], _per_second)
        time = ratios(rows[0], others[0], _total)
        return f"| {self.text} | ≥ {self.minimum} | {_range(*rate)} | {_range(*time)} |"


def _per_second(round_: Round) -> float:
    return round_.per_second


def _total(round_: Round) -> float:
    return round_.total
