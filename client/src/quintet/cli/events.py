"""Commands about streams: append, tail, and the list of streams."""

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quintet.cli.connection import connect
from quintet.cli.event_lines import EventPrinter
from quintet.cli.options import Json, JsonLines, Key, parse_moment
from quintet.cli.output import Column, print_json, print_table
from quintet.errors import NotFound

if TYPE_CHECKING:
    from quintet import Stream
    from quintet.models import Event

StreamName = Annotated[str, typer.Argument(metavar="STREAM", help="Name of the stream.")]
# Positions have fewer digits than Unix seconds.
_MAX_POSITION_DIGITS = 18


def append(
    stream: StreamName,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Name of the event, such as OrderPlaced.")],
    payload: Annotated[str, typer.Argument(metavar="JSON", help="The payload, an object; - reads standard input.")],
    producer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Writer of the stream.  [default: the user]")
    ] = None,
    version: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Version of the event.  [default: 1]")] = 1,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Append an event to a stream and print its ID.

    The first event creates the stream, which belongs to its user and producer.
    """
    content = _parse_payload(sys.stdin.buffer.read() if payload == "-" else payload)
    with connect() as client:
        event_id = client.streams(stream, producer).append(event, content, version=version, idempotency_key=key)
    if as_json:
        print_json({"id": event_id})
    else:
        typer.echo(event_id)


def _parse_payload(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_reject_constant)
        # A half of a surrogate pair is valid JSON, but not text.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"JSON must be valid: {error}") from None
    if not isinstance(value, dict):
        raise typer.BadParameter('JSON must be an object, such as {"order": 1}')
    return value


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def tail(
    stream: StreamName,
    name: Annotated[str | None, typer.Option(metavar="EVENT", help="Only events of this name.")] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="FROM", help="First event: start, a position, a time or 2h (ago)."),
    ] = None,
    count: Annotated[
        int, typer.Option("-n", min=0, metavar="COUNT", help="Without --from: the last COUNT.  [default: 10]")
    ] = 10,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Whether to wait for new events.  [default: follow]")
    ] = True,
    as_json: JsonLines = False,
) -> None:
    """Print the newest events of a stream, and follow it.

    Prints the time, position, name, ID and payload of each event. Following continues through any outage, without a gap
    or a duplicate; Ctrl-C ends it.
    """
    first = None if start is None else _parse_start(start)
    printer = EventPrinter(as_json=as_json)
    with connect() as client:
        source = client.streams(stream)
        last = _last_position(source, may_be_missing=follow)
        for event in _stored_events(source, name, first, count) if last else ():
            printer.print(event)
            last = max(last, event.position)
        if isinstance(first, int):
            last = max(last, first - 1)
        if follow:
            for event in source.follow(name or "*", after=last):
                printer.print(event)


def _parse_start(text: str) -> int | datetime:
    """Return a position or a time."""
    if text == "start":
        return 1
    if text.isascii() and text.isdigit() and len(text) <= _MAX_POSITION_DIGITS:
        return int(text)
    return parse_moment(text, "--from")


def _last_position(stream: "Stream", *, may_be_missing: bool) -> int:
    try:
        return stream.get().position
    except NotFound:
        # It is created by its first event, which `tail` then prints.
        if may_be_missing:
            return 0
        raise


def _stored_events(stream: "Stream", name: str | None, first: int | datetime | None, count: int) -> Iterable["Event"]:
    if first is None:
        return [*stream.events(name=name, newest_first=True, limit=count)][::-1]
    if isinstance(first, int):
        return stream.events(name=name, start=first)
    return stream.events(name=name, since=first)


def list_streams(as_json: Json = False) -> None:
    """List streams, their producers and their newest events."""
    with connect() as client:
        streams = list(client.streams.list())
    if as_json:
        print_json(streams)
        return
    columns = [
        Column("STREAM", may_shrink=True), Column("PRODUCER", may_shrink=True), Column("EVENTS", True),
        Column("NAMES", True), Column("LAST EVENT"),
    ]  # fmt: skip
    rows = [(s.stream, s.producer, s.event_count, len(s.events), s.last_at) for s in streams]
    print_table(columns, rows, empty="There are no streams.")
