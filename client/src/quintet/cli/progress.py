"""Progress bars on standard error, if that is a terminal."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from quintet.cli.output import printable

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

    from quintet.models import TransferProgress

OnTransfer = Callable[["TransferProgress"], None]


class Counted(Protocol):
    """A state with a number of rows that have been processed."""

    @property
    def current(self) -> int: ...

    @property
    def total(self) -> int: ...


@contextlib.contextmanager
def transfer_bar(label: str) -> Iterator[OnTransfer | None]:
    """Yield a function that draws how much of a file was transferred, with the rate and the time left."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.filesize import decimal
    from rich.progress import DownloadColumn, TextColumn

    with _progress(DownloadColumn(), TextColumn("{task.fields[rate]}")) as progress:
        task, started_at = progress.add_task(label, total=None, rate=""), time.monotonic()

        def update(state: "TransferProgress") -> None:
            rate = f"{decimal(int(state.done_bytes / (time.monotonic() - started_at + 0.001)))}/s"
            progress.update(
                task,
                description=printable(state.name or label),
                completed=state.done_bytes,
                total=state.total_bytes,
                rate=rate,
            )

        yield update


@contextlib.contextmanager
def row_bar(label: str) -> Iterator[Callable[[Counted], None] | None]:
    """Yield a function that draws how many rows were processed, with the rate and the time left."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import TextColumn

    with _progress(TextColumn("{task.completed:,.0f} rows"), TextColumn("{task.fields[rate]}")) as progress:
        task = progress.add_task(label, total=None, rate="")

        def update(state: Counted) -> None:
            rate = getattr(state, "rows_per_second", 0)
            text = f"{rate:,.0f}/s" if rate else ""
            progress.update(task, completed=state.current, total=state.total or None, rate=text)

        yield update


def _progress(*columns: "ProgressColumn") -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from quintet.cli.output import console

    return Progress(
        # The name of a file must not be read as markup.
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green", pulse_style="cyan"),
        TextColumn("{task.percentage:>3.0f} %"),
        *columns,
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console(stderr=True),
        expand=True,
    )
