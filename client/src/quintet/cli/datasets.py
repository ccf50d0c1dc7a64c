"""Commands about datasets: specs, flows and files."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quintet.cli.connection import connect
from quintet.cli.failures import REFUSED, print_error
from quintet.cli.options import Json
from quintet.cli.output import Column, cell, console, is_terminal, plain, print_json, print_table, printable
from quintet.cli.progress import transfer_bar
from quintet.errors import FlowFailed

if TYPE_CHECKING:
    from rich.table import Table

    from quintet.models import FlowStatus

OnFlow = Callable[["FlowStatus"], None]


def push(
    spec: Annotated[
        Path, typer.Argument(metavar="SPEC", exists=True, dir_okay=False, readable=True, help="A YAML or JSON file.")
    ],
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Whether to wait for the pipelines.  [default: wait]")
    ] = True,
    as_json: Json = False,
) -> None:
    """Upload a spec as a new revision, and show its pipelines.

    Exit code 1 if one of them fails.
    """
    failure: FlowFailed | None = None
    with connect() as client:
        flow = client.datasets.upload(spec)
        if wait:
            try:
                with _live_pipelines(as_json) as on_progress:
                    flow.wait(on_progress=on_progress)
            except FlowFailed as error:
                failure = error
        status = flow.status()
    if as_json:
        print_json(status)
    elif not is_terminal() and wait:
        for pipeline_id, pipeline in status.pipelines.items():
            typer.echo("\t".join(map(plain, (pipeline_id, pipeline.title, pipeline.status))))
    if not as_json:
        typer.echo(f"{status.id}: {status.state}")
    if failure:
        raise failure


@contextlib.contextmanager
def _live_pipelines(as_json: bool) -> Iterator[OnFlow | None]:
    """Yield a function that draws the pipelines on a terminal, each time over the previous drawing."""
    if as_json or not is_terminal():
        yield None
        return
    from rich.live import Live

    with Live(console=console(), refresh_per_second=4) as live:
        yield lambda status: live.update(_pipelines_table(status), refresh=True)


def _pipelines_table(status: "FlowStatus") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("PIPELINE", overflow="ellipsis")
    table.add_column("TITLE", overflow="ellipsis")
    table.add_column("STATE", no_wrap=True)
    table.add_column("TIME", justify="right", no_wrap=True)
    for pipeline_id, pipeline in status.pipelines.items():
        name = pipeline_id.removeprefix(f"{status.id}/").removeprefix(status.id) or "(package)"
        duration = _duration(pipeline.started, pipeline.finished)
        table.add_row(cell(name), cell(pipeline.title), cell(pipeline.status), duration)
    return table


def _duration(started: datetime | None, finished: datetime | None) -> str:
    return f"{(finished - started).total_seconds():.1f} s" if started and finished else ""


def get(
    dataset: Annotated[str, typer.Argument(metavar="OWNER/DATASET", help="Also OWNER/DATASET/REVISION.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", file_okay=False, help="Folder.  [default: named like the dataset]"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Download the files of a dataset.

    By default those of the latest successful revision. Each is compared with its hash.
    """
    parts = dataset.split("/")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise typer.BadParameter("OWNER/DATASET must have this form; a revision may follow")
    name = dataset if len(parts) == 3 else f"{dataset}/successful"
    with connect() as client, transfer_bar("Downloading") as on_progress:
        paths = client.datasets.flow(name).download(output or Path(parts[1]), on_progress=on_progress)
    if not paths:
        print_error(f"no pipeline of {name} has created a file")
        raise typer.Exit(REFUSED)
    if as_json:
        print_json({"files": [str(path) for path in paths]})
        return
    for path in paths:
        typer.echo(printable(str(path)))


def list_datasets(
    owner: Annotated[str | None, typer.Argument(metavar="[OWNER]", help="Only those of this owner.")] = None,
    as_json: Json = False,
) -> None:
    """List datasets and the state of their latest revisions."""
    with connect() as client:
        datasets = list(client.datasets.list(owner))
    if as_json:
        print_json(datasets)
        return
    columns = [
        Column("DATASET", may_shrink=True), Column("REVISION", True), Column("STATE"), Column("EVERY", True),
        Column("MODIFIED"),
    ]  # fmt: skip
    rows: list[tuple[Any, ...]] = [
        (d.id, d.revision, d.state, f"{d.every_seconds} s" if d.every_seconds else None, d.modified) for d in datasets
    ]
    print_table(columns, rows, empty="There are no datasets.")
