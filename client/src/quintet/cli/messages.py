"""Commands about what happens behind a request: dead letters and traces. They require the role admin."""

import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from quintet.cli.connection import connect
from quintet.cli.options import Json, Yes
from quintet.cli.output import Column, folded, is_terminal, local_time, print_json, print_table, printable, styled

if TYPE_CHECKING:
    from quintet.models import DeadLetter, Trace

QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="For instance orders.import.")]
MessageId = Annotated[str | None, typer.Argument(metavar="[ID]", help="Only the message with this ID.")]


def list_dead_letters(
    queue: Annotated[str | None, typer.Argument(metavar="[QUEUE]", help="Only the messages of this queue.")] = None,
    as_json: Json = False,
) -> None:
    """List messages that failed permanently, and why."""
    with connect() as client:
        # The counts of the queues are a few seconds old.
        names = [queue] if queue else [entry.name for entry in client.dead_letters.queues()]
        letters = [(name, letter) for name in names for letter in client.dead_letters.list(name)]
    if as_json:
        print_json([{"queue": name, **vars(letter)} for name, letter in letters])
        return
    if is_terminal() and letters:
        for name, letter in letters:
            _print_letter(name, letter)
        return
    columns = [Column(name) for name in ("QUEUE", "ID", "DEAD AT", "REASON")]
    rows = [(name, letter.id, letter.dead_at, letter.reason) for name, letter in letters]
    print_table(columns, rows, empty="There are no dead letters.")


def _print_letter(queue: str, letter: "DeadLetter") -> None:
    """Print one line with the ID, and the reason below it, which may be long."""
    time = local_time(datetime.fromisoformat(letter.dead_at)) if letter.dead_at else ""
    heading = f"{styled(queue, bold=True)}  {printable(letter.id or '(no ID)')}  {time}"
    typer.echo("\n".join([heading, *folded(printable(letter.reason), shutil.get_terminal_size().columns)]))


def requeue(queue: QueueName, message_id: MessageId = None, as_json: Json = False) -> None:
    """Process dead letters again."""
    with connect() as client:
        count = client.dead_letters.requeue(queue, message_id)
    _print_count(queue, count, "requeued", as_json)


def delete(queue: QueueName, message_id: MessageId = None, yes: Yes = False, as_json: Json = False) -> None:
    """Delete dead letters, after a confirmation."""
    what = f"the dead letter {message_id}" if message_id else "all dead letters"
    if not yes:
        typer.confirm(f"Delete {what} of {queue}?", abort=True, err=True)
    with connect() as client:
        count = client.dead_letters.delete(queue, message_id)
    _print_count(queue, count, "deleted", as_json)


def _print_count(queue: str, count: int, verb: str, as_json: bool) -> None:
    if as_json:
        print_json({"queue": queue, verb: count})
    else:
        typer.echo(f"{count} {'message' if count == 1 else 'messages'} of {queue} {verb}")


def trace(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID", help="An error and an event have one.")],
    as_json: Json = False,
) -> None:
    """Show what a request caused, in order of time."""
    with connect() as client:
        result = client.trace(request_id)
    if as_json:
        print_json(result)
        return
    _print_trace(result)
    for service in result.unavailable:
        typer.echo(f"Note: {service} is unavailable, so its part is missing.", err=True)
    for service in result.incomplete:
        typer.echo(f"Note: {service} has more entries.", err=True)


def _print_trace(result: "Trace") -> None:
    empty = "Nothing is stored about this request."
    if not is_terminal():
        cells = [(e.at, e.service, e.kind, e.what, e.id, e.caused_by) for e in result.entries]
        columns = [Column(name) for name in ("AT", "SERVICE", "KIND", "WHAT", "ID", "CAUSED BY")]
        print_table(columns, cells, empty=empty)
        return
    if result.entries:
        typer.echo(f"{result.entries[0].at.astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3] + "\n")
    columns = [Column("AFTER", True), Column("SERVICE"), Column("KIND"), Column("WHAT", may_shrink=True)]
    rows = [
        (f"{(entry.at - result.entries[0].at).total_seconds():.3f} s", entry.service, entry.kind, entry.what)
        for entry in result.entries
    ]
    print_table(columns, rows, empty=empty)
