"""Output of the commands: tables for people on a terminal, tab-separated lines for pipes, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {
    "OK": "green", "DEGRADED": "yellow", "DOWN": "bold red", "SUCCESS": "green", "SUCCEEDED": "green",
    "PROGRESS": "cyan", "INPROGRESS": "cyan", "PENDING": "dim", "QUEUED": "dim", "FAILURE": "bold red",
    "FAILED": "bold red", "invalid": "yellow", "stuck": "yellow",
}  # fmt: skip

# Control characters that JSON need not escape, among them those that change the direction of text; and surrogates.
_UNSAFE = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# A column that is shortened keeps so many characters.
_MIN_SHRUNK_WIDTH = 8
_NON_ASCII = re.compile(r"[^\x00-\x7f]")


def is_terminal() -> bool:
    return sys.stdout.isatty()


def styled(text: str, **style: Any) -> str:
    """Return the text with a style, which `typer.echo` removes if the output is not a terminal."""
    return text if os.environ.get("NO_COLOR") else typer.style(text, **style)


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints colors only on a terminal, and none with NO_COLOR."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def to_document(value: Any) -> Any:
    """Return what `--json` prints for a model: the service's own JSON, in which an optional field may be absent."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.metadata.get("json", field.name): to_document(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.default is not None or getattr(value, field.name) is not None
        }
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Mapping):
        return {key: to_document(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_document(item) for item in value]
    return value


def iso(value: datetime) -> str:
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def print_json(value: Any) -> None:
    """Print one document; on several lines for people."""
    text = json.dumps(to_document(value), ensure_ascii=False, indent=2 if is_terminal() else None)
    typer.echo(_encodable(_escaped(text)))


def json_line(value: Any) -> str:
    return _escaped(json.dumps(to_document(value), ensure_ascii=False, separators=(",", ":")))


def print_json_line(value: Any) -> None:
    """Print one document of many, immediately."""
    print(_encodable(json_line(value)), flush=True)


def _escaped(text: str) -> str:
    """Return the same JSON without control characters, which a terminal would obey, and without surrogates."""
    return _UNSAFE.sub(_escape, text)


def _encodable(text: str) -> str:
    """Return the same JSON in ASCII if standard output is not encoded as a UTF."""
    return text if (sys.stdout.encoding or "utf-8").lower().startswith("utf") else _NON_ASCII.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def plain(value: Any) -> str:
    """Return the text of a cell of a pipe, which contains neither a tab nor a line break."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable("" if value is None else str(value))


def shown(value: Any) -> str:
    """Return the text of a cell on a terminal: local times, and digits in groups."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return local_time(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else plain(value)


def local_time(value: datetime) -> str:
    return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"


def printable(text: str) -> str:
    """Replace control characters: data must neither move the cursor nor look like two cells."""
    return "".join(char if char.isprintable() else " " for char in text)


def folded(text: str, width: int) -> list[str]:
    """Return the lines of a long text, indented and broken at spaces, but not between a JSON key and its value."""
    lines = textwrap.wrap(
        text.replace('": ', '":\u00a0'),
        max(20, width),
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
    return [line.replace("\u00a0", " ") for line in lines]


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table; one that `may_shrink` is shortened if the terminal is too narrow."""

    heading: str
    is_number: bool = False
    may_shrink: bool = False


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print a table on a terminal, and its cells separated by tabs, without headings, into a pipe.

    Without rows, `empty` is printed on standard error.
    """
    if is_terminal():
        cells = list(rows)
        is_empty = not cells
        if cells:
            # Cells that cannot be shortened may exceed a narrow terminal, which then wraps the lines.
            console().print(_table(columns, cells), crop=False)
    else:
        is_empty = True
        for row in rows:
            print("\t".join(map(plain, row)))
            is_empty = False
    if is_empty:
        typer.echo(empty, err=True)


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), collapse_padding=True)
    texts = [[cell(value) for value in row] for row in rows]
    for index, column in enumerate(columns):
        width = max(len(column.heading), *(row[index].cell_len for row in texts))
        table.add_column(
            column.heading,
            justify="right" if column.is_number else "left",
            no_wrap=not column.may_shrink,
            overflow="ellipsis",
            # Otherwise a narrow terminal would show numbers without their last digits, and no names at all.
            min_width=min(width, _MIN_SHRUNK_WIDTH) if column.may_shrink else width,
        )
    for row in texts:
        table.add_row(*row)
    return table


def cell(value: Any) -> Any:
    """Return the text in the color of its meaning, on one line."""
    from rich.text import Text

    if isinstance(value, Text):
        return value
    text = shown(value)
    return Text(text, style=_STYLES.get(text, "dim" if value is None else ""), no_wrap=True, overflow="ellipsis")


def colored(text: str, color: str) -> Any:
    """Return a cell that has this color on a terminal."""
    if not is_terminal():
        return text
    from rich.text import Text

    return Text(text, style=color, no_wrap=True, overflow="ellipsis")


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print names and values, one per line; numbers are aligned if all values are numbers."""
    if not is_terminal():
        for name, value in fields.items():
            print(f"{name}\t{plain(value)}")
        return
    from rich.table import Table

    are_numbers = all(isinstance(value, int) for value in fields.values())
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold", justify="right" if are_numbers else "left")
    for name, value in fields.items():
        table.add_row(name, shown(value))
    console().print(table)
