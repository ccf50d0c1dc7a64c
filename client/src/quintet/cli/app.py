"""All commands, and the groups in which `quintet --help` shows them."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from quintet.cli import consume, datasets, events, factories, imports, messages, numbers, session, shells
from quintet.cli.help import Command, Group, RootGroup

_HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
Handler = Callable[..., Any]

# Groups, and their commands in the order of the help page; a group of commands is a dict.
COMMANDS: dict[str, dict[str, Handler | tuple[str, dict[str, Handler]]]] = {
    "Connection": {
        "login": session.login,
        "logout": session.logout,
        "status": session.status,
        "completion": shells.completion,
    },
    "Numbers": {
        "next": numbers.next_numbers,
        "sequence": (
            "List, create and show sequences",
            {"list": numbers.list_sequences, "create": numbers.create, "show": numbers.show},
        ),
    },
    "Events": {
        "append": events.append,
        "tail": events.tail,
        "consume": consume.consume,
        "streams": ("List streams", {"list": events.list_streams}),
    },
    "Orders": {
        "import": imports.import_file,
        "orders": ("List and show orders", {"list": imports.list_orders, "show": imports.show_order}),
    },
    "Datasets": {
        "spec": ("Upload specs, whose pipelines create datasets", {"push": datasets.push}),
        "data": ("List datasets and download their files", {"get": datasets.get, "list": datasets.list_datasets}),
    },
    "Factories": {
        "factory": (
            "Record and chart the production of factories",
            {
                "list": factories.list_factories,
                "create": factories.create,
                "record": factories.record,
                "chart": factories.chart,
                "load": factories.load,
            },
        ),
        "sprocket": (
            "List and add sprockets",
            {"list": factories.list_sprockets, "add": factories.add_sprocket},
        ),
    },
    "Operation": {
        "trace": messages.trace,
        "dead-letters": (
            "List, requeue and delete messages that failed",
            {
                "list": messages.list_dead_letters,
                "requeue": messages.requeue,
                "delete": messages.delete,
            },
        ),
    },
}


def _print_version(is_requested: bool) -> None:
    if is_requested:
        from importlib.metadata import version

        typer.echo(f"quintet {version('quintet-client')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Numbers, events, orders, datasets and factories of Quintet, from the command line."""


def _build() -> typer.Typer:
    app = _typer(RootGroup)
    app.callback()(_root)
    for panel, commands in COMMANDS.items():
        for name, handler in commands.items():
            if callable(handler):
                app.command(name, cls=Command, rich_help_panel=panel)(handler)
                continue
            title, subcommands = handler
            group = _typer(Group)
            group.callback()(_document(title))
            for subname, subhandler in subcommands.items():
                group.command(subname, cls=Command)(subhandler)
            app.add_typer(group, name=name, rich_help_panel=panel)
    return app


def _typer(cls: type[Group]) -> typer.Typer:
    # Neither help nor errors need rich, whose import takes longer than everything else.
    return typer.Typer(
        cls=cls,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_HELP_OPTIONS,
    )


def _document(title: str) -> Callable[[], None]:
    def callback() -> None: ...

    callback.__doc__ = f"{title}."
    return callback


app = _build()
