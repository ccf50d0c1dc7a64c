"""Output of the commands: tables for people on a terminal, tab-separated lines for pipes, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
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
    document = to_document(value)
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2 if is_terminal() else None))


def json_line(value: Any) -> str:
    return json.dumps(to_document(value), ensure_ascii=False, separators=(",", ":"))


def print_json_line(value: Any) -> None:
    """Print one document of many, immediately."""
    print(json_line(value), flush=True)


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
            console().print(_table(columns, cells))
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
    for column in columns:
        table.add_column(
            column.heading,
            justify="right" if column.is_number else "left",
            no_wrap=not column.may_shrink,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*map(cell, row))
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
