"""Help pages that fit on one screen: plain text, with headings in bold on a terminal, and commands in groups."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

from quintet.cli.failures import reported
from quintet.cli.output import styled

if TYPE_CHECKING:
    # typer contains its own copy of click, or depends on it: that depends on its version.
    Context = Any
    Formatter = Any

# The groups of commands, in the order of `quintet --help`.
PANELS = ("Connection", "Numbers", "Events", "Orders", "Datasets", "Factories", "Operation")
_HEADING = re.compile(r"(Usage|[A-Z][A-Za-z ]+):(?=\s)")


def _embolden_headings(formatter: Formatter) -> None:
    formatter.buffer = [_HEADING.sub(_bold, text, count=1) for text in formatter.buffer]


def _bold(match: re.Match[str]) -> str:
    return styled(match[0], bold=True) if match.start() == 0 else match[0]


class Command(TyperCommand):
    """A command, whose help page omits what typer adds: types, ranges, and that arguments are required."""

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        return ["[OPTIONS]", *(_name(parameter) for parameter in self.params if _is_argument(parameter))]

    def format_options(self, ctx: Context, formatter: Formatter) -> None:
        # In the types of some versions of typer, only arguments and options have a help text.
        parameters: list[Any] = [*self.get_params(ctx)]
        for title, rows in (
            ("Arguments", [(_name(p), p.help or "") for p in parameters if _is_argument(p)]),
            ("Options", [(_option(p), p.help or "") for p in parameters if not _is_argument(p)]),
        ):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_help(self, ctx: Context, formatter: Formatter) -> None:
        super().format_help(ctx, formatter)
        _embolden_headings(formatter)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _option(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    if option.secondary_opts:
        names += f" / {option.secondary_opts[0]}"
    return names if option.is_flag else f"{names} {option.metavar}"


class Group(TyperGroup):
    """A group of commands, whose failures become one sentence and an exit code."""

    def format_help(self, ctx: Context, formatter: Formatter) -> None:
        super().format_help(ctx, formatter)
        _embolden_headings(formatter)

    def invoke(self, ctx: Context) -> Any:
        with reported():
            return super().invoke(ctx)


class RootGroup(Group):
    """All commands on one screen, each line with the group of its command."""

    def list_commands(self, ctx: Context) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: PANELS.index(self._panel(name)))

    def _panel(self, name: str) -> str:
        return str(getattr(self.commands[name], "rich_help_panel", ""))

    def format_help(self, ctx: Context, formatter: Formatter) -> None:
        self.format_usage(ctx, formatter)
        formatter.write_paragraph()
        names = self.list_commands(ctx)
        panel_width, name_width = (max(map(len, texts)) + 2 for texts in (PANELS, names))
        previous = ""
        for name in names:
            panel = self._panel(name)
            # A heading is followed by a colon, like those of the other help pages.
            label = "" if panel == previous else f"{panel}:"
            help_text = self.commands[name].get_short_help_str(limit=60)
            formatter.write(f"{label:<{panel_width}}{name:<{name_width}}{help_text}\n")
            previous = panel
        formatter.write_paragraph()
        formatter.write("Options: --version, --help. `quintet COMMAND --help` describes a command.\n")
        _embolden_headings(formatter)
