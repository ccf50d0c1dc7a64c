"""Commands about the connection: login, logout and status."""

import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, unquote, urlsplit

import typer

from quintet import config
from quintet.cli.connection import QUICK_SECONDS, connect
from quintet.cli.failures import UNAVAILABLE
from quintet.cli.options import Json
from quintet.cli.output import Column, cell, console, is_terminal, plain, print_json, print_table
from quintet.errors import Forbidden

if TYPE_CHECKING:
    from quintet.models import Queue


def login(
    url: Annotated[str, typer.Argument(metavar="URL", help="For instance http://ann@127.0.0.1:8080.")],
    as_json: Json = False,
) -> None:
    """Check and store the address, user and password.

    Asks for a user and a password that the URL does not contain; if standard input is not a terminal, reads the
    password from its first line. The file can be read by you only. The environment variable QUINTET_URL wins over it.
    """
    complete_url = _with_credentials(url)
    address = config.parse_url(complete_url)
    with connect(complete_url, max_retry_seconds=QUICK_SECONDS) as client:
        try:
            client.health()
        except Forbidden:
            # The password is right, but the role may not read this.
            pass
    file = config.save_login(complete_url)
    if as_json:
        print_json({"url": address.url, "user": address.user, "file": str(file)})
        return
    typer.echo(f"Logged in to {address.url} as {address.user}")
    typer.echo(f"Stored in {file}", err=True)
    if config.ENVIRONMENT_VARIABLE in os.environ:
        typer.echo(f"Note: the environment variable {config.ENVIRONMENT_VARIABLE} is set and wins.", err=True)


def _with_credentials(url: str) -> str:
    """Return the URL with the user and the password, which a person enters if they are missing."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_valid = False
    if not is_valid:
        raise typer.BadParameter("URL must have the form http://user@host:port")
    user = unquote(parts.username) if parts.username else typer.prompt("User", err=True)
    password = unquote(parts.password) if parts.password is not None else _read_password(user)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{host}{parts.path}"


def _read_password(user: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"Password of {user}", hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def logout(as_json: Json = False) -> None:
    """Delete the stored address and password."""
    is_deleted = config.delete_login()
    if as_json:
        print_json({"deleted": is_deleted})
    else:
        typer.echo("Logged out" if is_deleted else "Nothing was stored")


def status(as_json: Json = False) -> None:
    """Show services, queues and dead letters.

    Exit code 3 if a service is DOWN. Queues are shown to administrators.
    """
    with connect(max_retry_seconds=QUICK_SECONDS) as client:
        health = client.health()
        # The order of the gateway's response differs with containers.
        health["services"] = dict(sorted(health["services"].items()))
        try:
            queues = client.dead_letters.queues()
        except Forbidden:
            queues = None
        overview = {"url": client.url, "user": client.user, **health, "queues": queues}
    if as_json:
        print_json(overview)
    elif is_terminal():
        _print_overview(overview)
    else:
        for name, service in health["services"].items():
            print("\t".join(map(plain, ("service", name, service["status"], _problems(service)))))
        for queue in queues or ():
            print("\t".join(map(plain, ("queue", queue.name, queue.messages, queue.dead_letters))))
    if any(service["status"] == "DOWN" for service in health["services"].values()):
        raise typer.Exit(UNAVAILABLE)


def _print_overview(overview: dict[str, Any]) -> None:
    console().print(f"{overview['url']} as {overview['user']}:", cell(overview["status"]), end="\n\n")
    columns = [Column("SERVICE"), Column("STATE"), Column("VERSION"), Column("UP")]
    rows: list[tuple[Any, ...]] = [
        (name, service["status"], service.get("version"), _uptime(service), _problems(service))
        for name, service in overview["services"].items()
    ]
    if any(row[-1] for row in rows):
        columns.append(Column("PROBLEM", may_shrink=True))
    print_table(columns, [row[: len(columns)] for row in rows], empty="The gateway has no services.")
    if overview["queues"] is not None:
        typer.echo()
        _print_queues(overview["queues"])


def _print_queues(queues: "list[Queue]") -> None:
    columns = [
        Column("QUEUE"),
        *(Column(name, True) for name in ("MESSAGES", "PER SECOND", "CONSUMERS", "DEAD LETTERS")),
    ]
    rows = [
        (queue.name, queue.messages, queue.handled_per_second, queue.consumers, queue.dead_letters) for queue in queues
    ]
    print_table(columns, rows, empty="no queues")


def _uptime(service: dict[str, Any]) -> str | None:
    seconds = service.get("uptime_seconds")
    if seconds is None:
        return None
    duration = timedelta(seconds=int(seconds))
    hours, minutes = duration.seconds // 3600, duration.seconds // 60 % 60
    if duration.days:
        return f"{duration.days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{duration.seconds} s"


def _problems(service: dict[str, Any]) -> str:
    """Return the dependencies that are not OK, and why."""
    return "; ".join(_problem_texts(service))


def _problem_texts(service: dict[str, Any]) -> Iterator[str]:
    if "detail" in service:
        yield str(service["detail"])
    for name, dependency in service.get("dependencies", {}).items():
        if dependency.get("status") != "OK":
            yield f"{name}: {dependency.get('detail') or dependency.get('status')}"
