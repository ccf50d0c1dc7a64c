"""What both ways to run have in common: their commands, how a failure is told, what is shown at the end."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from quintet_local import envfile, ports
from quintet_local.progress import StackError, say

Command = Callable[[Any, argparse.Namespace], int | None]


def run(prog: str, description: str | None, commands: Mapping[str, Command], make_stack: Callable[[], Any]) -> int:
    """The exit code of the command that was asked for."""
    given = _parser(prog, description, commands).parse_args()
    try:
        return commands[given.command](make_stack(), given) or 0
    except StackError as problem:
        print(f"\n{given.command}: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("interrupted; `make up` goes on from here, `make down` stops what runs")
        return 130


def settle(env_file: Path) -> None:
    """Say what becomes of the .env before anything is made from it."""
    if original := envfile.settle(env_file):
        say(f"{env_file} is a copy of {original}: this folder gets a stack of its own, with the same passwords")
    elif not env_file.exists():
        say(f"making {env_file} with new secrets")


def free_port_from(wanted: int) -> int:
    port = ports.first_free_from(wanted)
    if port != wanted:
        say(f"port {wanted} is taken: the gateway gets {port} (GATEWAY_PORT in .env)")
    return port


def confirm_removal(things: Iterable[object], given: argparse.Namespace) -> None:
    """Name what will be gone, and ask. Without a terminal only YES=1 counts: a script has to say that it means it."""
    print("make clean stops the stack and removes:", *(f"  {thing}" for thing in things), sep="\n", file=sys.stderr)
    if given.yes or os.environ.get("YES") == "1":
        return
    if not sys.stdin.isatty():
        raise StackError("nothing was removed: there is no terminal to ask on (`make clean YES=1` does not ask)")
    print("Remove all of it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise StackError("nothing was removed")


def refuse_administrator(name: str, settings: Mapping[str, str]) -> None:
    if name == settings["ADMIN_USER"]:
        raise StackError(
            f"{name} is the administrator of .env: change ADMIN_USER or ADMIN_PASSWORD there, then `make up`"
        )


def say_where(address: str, settings: Mapping[str, str]) -> None:
    print(
        f"\n  URL       {address}\n  user      {settings['ADMIN_USER']}\n  password  {settings['ADMIN_PASSWORD']}\n\n"
        "  next: README.md for a first round with curl; make status; make logs S=<program>; make help"
    )


def show_health(address: str, health: Mapping[str, Any]) -> None:
    print(f"\nhealth at {address}/health: {health['status']}")
    for service, said in health.get("services", {}).items():
        print(f"  {service:<18}{said.get('status')}")


def _parser(prog: str, description: str | None, commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=description)
    choices = parser.add_subparsers(dest="command", required=True, metavar="|".join(commands))
    parsers = {name: choices.add_parser(name) for name in commands}
    parsers["up"].add_argument("--reload", action="store_true", help="take in changes of the code")
    parsers["up"].add_argument(
        "--tls", action="store_true", help="serve HTTPS, with a self-signed certificate if .env names none"
    )
    parsers["clean"].add_argument("--yes", action="store_true", help="do not ask")
    parsers["logs"].add_argument("program", nargs="?", default="")
    parsers["logs"].add_argument("--no-follow", dest="follow", action="store_false")
    parsers["user"].add_argument("name")
    parsers["user"].add_argument("role", nargs="?", default="")
    parsers["user-remove"].add_argument("name")
    parsers["retry"].add_argument("queue")
    parsers["load-data"].add_argument("files", nargs="*")
    return parser
