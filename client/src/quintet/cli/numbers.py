"""Commands about sequences: numbers that are issued once."""

from enum import Enum
from typing import Annotated, Any

import typer

from quintet.cli.connection import connect
from quintet.cli.options import Json, Key
from quintet.cli.output import Column, print_fields, print_json, print_table, to_document

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the sequence.")]


class Period(str, Enum):
    """A period after which a sequence begins again."""

    year = "year"
    month = "month"
    day = "day"


def next_numbers(
    name: Name,
    n: Annotated[
        int, typer.Option("-n", min=1, max=10_000, metavar="COUNT", help="How many, up to 10000.  [default: 1]")
    ] = 1,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Issue the next numbers of a sequence, one per line.

    No other caller receives them. A repetition with the same --key prints the same numbers.
    """
    with connect() as client:
        issued = client.sequences.next(name, n, idempotency_key=key)
    if as_json:
        print_json(issued)
        return
    for text in issued.formatted:
        typer.echo(text)


def list_sequences(as_json: Json = False) -> None:
    """List all sequences."""
    with connect() as client:
        sequences = list(client.sequences.list())
    if as_json:
        print_json(sequences)
        return
    columns = [
        Column("NAME", may_shrink=True), Column("FORMAT", may_shrink=True), Column("LAST", True), Column("NEXT", True),
        Column("REMAINING", True), Column("RESET"),
    ]  # fmt: skip
    rows = [(s.name, s.format, s.last, s.next, s.remaining, s.reset) for s in sequences]
    print_table(columns, rows, empty="There are no sequences.")


def create(
    name: Name,
    minimum: Annotated[int, typer.Option(metavar="NUMBER", help="First number.  [default: 1]")] = 1,
    maximum: Annotated[int | None, typer.Option(metavar="NUMBER", help="Last number.  [default: 2^63 - 1]")] = None,
    format: Annotated[
        str, typer.Option(metavar="TEXT", help="Such as INV-{:05d}, with --reset INV-{year}-{:05d}.  [default: {}]")
    ] = "{}",
    cycle: Annotated[bool, typer.Option("--cycle", help="Begin again after the last number.")] = False,
    reset: Annotated[
        Period | None, typer.Option(metavar="year|month|day", help="Begin again when the period changes.")
    ] = None,
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="Time zone of the period, such as Europe/Berlin.  [default: UTC]")
    ] = "UTC",
    audit: Annotated[bool, typer.Option("--audit", help="Record who received which numbers.")] = False,
    as_json: Json = False,
) -> None:
    """Create a sequence, unless the same one exists."""
    limits: dict[str, Any] = {} if maximum is None else {"maximum": maximum}
    with connect() as client:
        sequence = client.sequences.create(
            name,
            minimum=minimum,
            cycle=cycle,
            format=format,
            reset=reset.value if reset else None,
            timezone=timezone,
            audit=audit,
            **limits,
        )
    if as_json:
        print_json(sequence)
    else:
        typer.echo(f"Created {sequence.name}; the next number is {sequence.next}")


def show(name: Name, as_json: Json = False) -> None:
    """Show one sequence."""
    with connect() as client:
        sequence = client.sequences.get(name)
    if as_json:
        print_json(sequence)
    else:
        print_fields(to_document(sequence))
