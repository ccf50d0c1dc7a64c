"""The command that calls a program for each event of a consumer."""

import shutil
from typing import TYPE_CHECKING, Annotated

import typer

from quintet.cli.connection import connect
from quintet.cli.event_handler import EventHandler, NotStarted, Outcome
from quintet.cli.failures import REFUSED, UNAVAILABLE, USAGE, print_error
from quintet.cli.options import JsonLines
from quintet.cli.output import print_json_line, printable
from quintet.cli.stopping import Stopped, StopSignals

if TYPE_CHECKING:
    from quintet import Consumption, ReceivedEvent


def consume(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="Name of the stream.")],
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Name of the events; '*' for all names.")],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The handler and its arguments.")],
    consumer: Annotated[str, typer.Option(metavar="NAME", help="Consumer whose offset moves; required.")],
    lease: Annotated[
        float | None,
        typer.Option(
            min=1, max=3600, metavar="SECONDS", help="Divide the events between processes, for this time each."
        ),
    ] = None,
    delay: Annotated[
        float | None,
        typer.Option(min=0, max=86400, metavar="SECONDS", help="Time before a retry.  [default: 1, 5, 25, 125]"),
    ] = None,
    stop_when_empty: Annotated[
        bool, typer.Option("--stop-when-empty", help="Stop when there is no event to handle now.")
    ] = False,
    as_json: JsonLines = False,
) -> None:
    """Call a program for each event, in order.

    The handler reads the event as JSON from its standard input, and QUINTET_EVENT_ID and others from its environment.
    Exit code 0 acknowledges the event; any other refuses it, and it is delivered again. SIGTERM or Ctrl-C lets the
    handler finish, then stops; the second one ends the handler.
    """
    if shutil.which(command[0]) is None:
        print_error(f"{command[0]} must be an executable program")
        raise typer.Exit(USAGE)
    with StopSignals() as signals, connect() as client:
        events = client.streams(stream).consume(consumer, event, lease_seconds=lease, stop_when_empty=stop_when_empty)
        handler = EventHandler(command, consumer, signals, is_stdout_reserved=as_json)
        loop = _Loop(events, handler, signals, delay_seconds=delay, as_json=as_json)
        try:
            loop.run()
        except Stopped:
            pass
    loop.print_summary()
    if loop.start_failure is not None:
        print_error(f"{command[0]} could not be started: {loop.start_failure}")
        raise typer.Exit(USAGE)
    if signals.was_acknowledgement_interrupted:
        print_error("the last event was handled, but could not be acknowledged: it will be delivered again")
        raise typer.Exit(UNAVAILABLE)
    if stop_when_empty and loop.is_refused:
        raise typer.Exit(REFUSED)


class _Loop:
    """Handles one event after the other, and counts the outcomes."""

    def __init__(
        self,
        events: "Consumption",
        handler: EventHandler,
        signals: StopSignals,
        *,
        delay_seconds: float | None,
        as_json: bool,
    ) -> None:
        self._events, self._handler, self._signals = events, handler, signals
        self._delay_seconds, self._as_json = delay_seconds, as_json
        self._counts = {"acknowledged": 0, "refused": 0}
        # Whether the last attempt of an event was refused.
        self.is_refused = False
        # Why the handler could not be started, which says nothing about the event.
        self.start_failure: str | None = None

    def run(self) -> None:
        """Run until a signal, or until there is no event; raise Stopped if a signal interrupts waiting."""
        with self._events as events:
            while (event := self._next(events)) is not None:
                outcome = self._handler.run(event)
                if isinstance(outcome, NotStarted):
                    self.start_failure = outcome.reason
                if outcome is None or isinstance(outcome, NotStarted):
                    return
                self._settle(event, outcome)

    def _next(self, events: "Consumption") -> "ReceivedEvent | None":
        with self._signals.interrupting():
            return next(events, None)

    def _settle(self, event: "ReceivedEvent", outcome: Outcome) -> None:
        with self._signals.acknowledging():
            if outcome.is_success:
                event.acknowledge()
            else:
                event.refuse(outcome.reason, self._delay_seconds)
        result = "acknowledged" if outcome.is_success else "refused"
        self._counts[result] += 1
        self.is_refused = not outcome.is_success
        if self._as_json:
            print_json_line(
                {
                    "id": event.id,
                    "name": event.name,
                    "position": event.position,
                    "outcome": result,
                    "exit_code": outcome.exit_code,
                }
            )
        elif not outcome.is_success:
            name = printable(event.name)
            typer.echo(f"refused #{event.position} {name} {event.id}: {outcome.reason}", err=True)

    def print_summary(self) -> None:
        if not self._as_json:
            text = ", ".join(f"{count} {name}" for name, count in self._counts.items())
            typer.echo(f"Stopped: {text}", err=True)
