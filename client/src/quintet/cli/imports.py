"""Commands about orders: the import of files, and queries."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quintet.cli.connection import connect
from quintet.cli.options import Json
from quintet.cli.output import Column, print_fields, print_json, print_table, printable, to_document
from quintet.cli.progress import row_bar, transfer_bar

if TYPE_CHECKING:
    from quintet import ImportTask
    from quintet.models import ImportStatus, OrderSummary

_MAX_SHOWN_ORDERS = 100


def import_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="A CSV or XLSX file.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only validate the rows.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Replace orders whose IDs exist.")] = False,
    encoding: Annotated[str | None, typer.Option(metavar="NAME", help="Such as cp1252.  [default: UTF-8]")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=HEADER", help="Such as zipcode=PLZ; may be repeated."),
    ] = None,
    date_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="An additional form of dates, such as %d.%m.%Y.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Where to save rows with errors.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Import a file of orders and wait for the result.

    Invalid, duplicate and rejected rows are saved beside the file, for orders.csv as orders.errors.csv: correct them
    there, and import that file with --update. Ctrl-C does not end an import whose upload is complete.
    """
    report = report or file.with_name(f"{file.stem}.errors.csv")
    if report.resolve() == file.resolve():
        raise typer.BadParameter("--report must be another file than FILE")
    if not os.access(report.parent, os.W_OK):
        raise typer.BadParameter(f"{report.parent} is not a writable folder: choose --report")
    with connect() as client:
        with transfer_bar("Uploading") as on_upload:
            task = client.orders.upload(
                file,
                dry_run=dry_run,
                update=update,
                encoding=encoding,
                columns=_parse_columns(columns or []),
                date_format=date_format,
                on_progress=on_upload,
            )
        status = _wait(task)
        has_errors = bool(status.invalid + status.duplicates + status.rejected)
        if has_errors:
            task.save_errors(report)
    if as_json:
        print_json({**to_document(status), "report": str(report) if has_errors else None})
    else:
        _print_counts(file, status, report if has_errors else None)


def _parse_columns(texts: list[str]) -> dict[str, str]:
    columns = dict(text.split("=", 1) for text in texts if "=" in text)
    if len(columns) != len(texts):
        raise typer.BadParameter("--columns must have the form COLUMN=HEADER, each column once")
    return columns


def _wait(task: "ImportTask") -> "ImportStatus":
    try:
        with row_bar("Importing") as on_import:
            return task.wait(on_progress=on_import)
    except KeyboardInterrupt:
        typer.echo(f"Import {task.id} continues in the background.", err=True)
        raise


def _print_counts(file: Path, status: "ImportStatus", report: Path | None) -> None:
    typer.echo(f"{'Validated' if status.dry_run else 'Imported'} {file.name}:", err=True)
    counts = {
        "rows": status.total,
        "valid": status.valid,
        "invalid": status.invalid,
        "updated": status.updated,
        "duplicates": status.duplicates,
        "rejected": status.rejected,
    }
    print_fields(counts)
    if status.ignored_columns:
        typer.echo(f"Ignored columns: {printable(', '.join(status.ignored_columns))}", err=True)
    if report:
        typer.echo(f"Saved the rows with errors as {report}", err=True)


def list_orders(
    valid: Annotated[bool | None, typer.Option("--valid/--invalid", help="Only these.", show_default=False)] = None,
    state: Annotated[str | None, typer.Option("--state", metavar="STATE", help="Such as NY.")] = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="Part of the name.")] = None,
    email: Annotated[str | None, typer.Option(metavar="TEXT", help="Part of the address.")] = None,
    zipcode: Annotated[str | None, typer.Option(metavar="TEXT", help="Beginning of the zip code.")] = None,
    limit: Annotated[
        int, typer.Option("-n", min=0, metavar="COUNT", help="At most COUNT; 0: all.  [default: 100]")
    ] = _MAX_SHOWN_ORDERS,
    as_json: Json = False,
) -> None:
    """List orders by ID."""
    with connect() as client:
        matching = client.orders.list(valid=valid, state=state, name=name, email=email, zipcode=zipcode)
        orders = _first(matching, limit) if limit else matching
        if as_json:
            print_json(list(orders))
            return
        columns = [Column("ID", True), Column("NAME", may_shrink=True), Column("VALID")]
        rows = ((str(order.id), order.name, order.valid) for order in orders)
        print_table(columns, rows, empty="No order matches.")


def _first(orders: Iterator["OrderSummary"], limit: int) -> Iterator["OrderSummary"]:
    """Yield the first orders, and report that there are more."""
    yield from islice(orders, limit)
    if next(orders, None) is not None:
        typer.echo(f"Only the first {limit:,} orders are listed; see -n.", err=True)


def show_order(
    order_id: Annotated[int, typer.Argument(metavar="ID", help="ID of the order.")],
    as_json: Json = False,
) -> None:
    """Show an order, and the rules that it violates."""
    with connect() as client:
        order = client.orders.get(order_id)
    if as_json:
        print_json(order)
        return
    fields = {name: value for name, value in vars(order).items() if name != "errors"} | {"id": str(order.id)}
    errors = "; ".join(f"{violation.rule}: {violation.message}" for violation in order.errors)
    print_fields({**fields, "errors": errors or "none"})
