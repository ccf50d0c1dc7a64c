"""What both ways to run have in common: most commands, how a failure is told, what is shown at the end."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from quintet_local import envfile, gateway, loading, ports, settings
from quintet_local.progress import StackError, say

Command = Callable[[Any, argparse.Namespace], int | None]


class Stack(Protocol):
    """What the common commands need of a stack."""

    words: Sequence[str]

    @property
    def settings(self) -> Mapping[str, str]: ...

    def users_tool(self) -> Mapping[str, str]:
        """Return the environment for gateway/users.py."""

    def reload_gateway(self) -> bool:
        """Return whether there is one that runs."""

    def ask_worker(self, word: str, *arguments: str) -> None:
        """Run a command of a service as its worker would."""


def run(prog: str, description: str | None, own: Mapping[str, Command], make_stack: Callable[[], Any]) -> int:
    """The exit code of the command that was asked for."""
    commands = {**own, **_COMMON}
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


def make_settings(env_file: Path, words: Sequence[str]) -> dict[str, str]:
    """Return what is in the .env after making what is missing there; a StackError for a value that is refused."""
    settle(env_file)
    made = envfile.ensure(env_file, words, _free_port_from)
    settings.check(made, words)
    return made


def _free_port_from(first: int) -> int:
    port = ports.first_free_from(first)
    if port != first:
        say(f"port {first} is taken: the gateway gets {port} (GATEWAY_PORT in .env)")
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


def say_where(settings: Mapping[str, str]) -> None:
    print(
        f"\n  URL       {gateway.address(settings)}\n  user      {settings['ADMIN_USER']}\n"
        f"  password  {settings['ADMIN_PASSWORD']}\n\n"
        "  next: README.md for a first round with curl; make status; make logs S=<program>; make help"
    )


def show_health(settings: Mapping[str, str]) -> bool:
    """Return whether everything is healthy."""
    health = gateway.ask_health(settings)
    print(f"\nhealth at {gateway.address(settings)}/health: {health['status']}")
    for service, said in health.get("services", {}).items():
        print(f"  {service:<18}{said.get('status')}")
    return bool(health["status"] == "OK")


def url(stack: Stack, given: argparse.Namespace) -> None:
    print(gateway.address_with_password(stack.settings))


def user(stack: Stack, given: argparse.Namespace) -> None:
    _change_users(stack, "add", given.name, *(["--role", given.role] if given.role else []))


def user_remove(stack: Stack, given: argparse.Namespace) -> None:
    _change_users(stack, "remove", given.name)


def _change_users(stack: Stack, action: str, name: str, *role: str) -> None:
    if name == stack.settings["ADMIN_USER"]:
        raise StackError(
            f"{name} is the administrator of .env: change ADMIN_USER or ADMIN_PASSWORD there, then `make up`"
        )
    gateway.change_users([action, name, *role], stack.settings, stack.users_tool(), stack.reload_gateway)


def users(stack: Stack, given: argparse.Namespace) -> None:
    gateway.list_users(stack.users_tool())


def dead_letters(stack: Stack, given: argparse.Namespace) -> None:
    for word in stack.words:
        stack.ask_worker(word, "dead-letters")


def retry(stack: Stack, given: argparse.Namespace) -> None:
    word = given.queue.partition(".")[0]
    if word not in stack.words:
        raise StackError(f"no service has a queue {given.queue!r}: `make dead-letters` lists them")
    stack.ask_worker(word, "retry", given.queue)


def load_data(stack: Stack, given: argparse.Namespace) -> None:
    loading.load(gateway.address(stack.settings), stack.settings, given.files)


_COMMON: dict[str, Command] = {
    "url": url,
    "user": user,
    "user-remove": user_remove,
    "users": users,
    "dead-letters": dead_letters,
    "retry": retry,
    "load-data": load_data,
}


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
