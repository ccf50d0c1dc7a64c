"""The commands behind the Makefile's targets when the stack runs without containers."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable

from quintet_local import envfile, ports, startup
from quintet_local.gateway import NAME as NGINX
from quintet_local.layout import default_layout
from quintet_local.progress import StackError, say
from quintet_local.services import Service
from quintet_local.stack import Stack


def main() -> int:
    arguments = _parser().parse_args()
    stack = Stack(default_layout())
    try:
        return COMMANDS[arguments.command](stack, arguments) or 0
    except StackError as problem:
        print(f"\n{arguments.command}: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("interrupted; `make up` goes on from here, `make down` stops what runs")
        return 130


def up(stack: Stack, arguments: argparse.Namespace) -> None:
    startup.up(stack, reload=arguments.reload)
    user, password = stack.settings["ADMIN_USER"], stack.settings["ADMIN_PASSWORD"]
    print(
        f"\n  URL       {stack.gateway.address}\n  user      {user}\n  password  {password}\n\n"
        "  next: README.md for a first round with curl; make status; make logs S=<program>; make help"
    )


def down(stack: Stack, arguments: argparse.Namespace) -> None:
    stack.down()


def clean(stack: Stack, arguments: argparse.Namespace) -> None:
    stack.clean()


def env(stack: Stack, arguments: argparse.Namespace) -> None:
    """Only the .env file, for whoever runs the containers."""
    envfile.ensure(stack.layout.env_file, stack.words, ports.first_free_from)


def url(stack: Stack, arguments: argparse.Namespace) -> None:
    print(stack.gateway.url())


def status(stack: Stack, arguments: argparse.Namespace) -> int:
    """Exit code 0 only if all programs run and the gateway finds everything healthy."""
    states = stack.supervisor.states()
    if not states:
        print("not running (`make up` starts it)")
        return 3
    print(f"{'PROGRAM':<18}{'STATE':<10}{'PID':>8}  UP FOR")
    for name, state in states.items():
        up_for = f"{time.time() - state['start']:.0f} s" if state["pid"] else state["description"]
        print(f"{name:<18}{state['statename']:<10}{state['pid'] or '-':>8}  {up_for}")
    health = stack.gateway.health()
    print(f"\nhealth at {stack.gateway.address}/health: {health['status']}")
    for service, said in health.get("services", {}).items():
        print(f"  {service:<18}{said.get('status')}")
    all_run = all(state["pid"] for state in states.values())
    return 0 if all_run and health["status"] == "OK" else 3


def logs(stack: Stack, arguments: argparse.Namespace) -> None:
    """Follows one program's log or all of them; with F=0 only prints what is there."""
    there = sorted(file.stem for file in stack.layout.logs.glob("*.log"))
    chosen = [arguments.program] if arguments.program else there
    if not set(chosen) <= set(there) or not there:
        raise StackError(f"no log of {arguments.program!r}; there are: {', '.join(there) or 'none yet'}")
    follow = ["-F"] if arguments.follow else []
    files = [str(stack.layout.log_of(name)) for name in chosen]
    sys.stdout.flush()
    os.execvp("tail", ["tail", "-n", "100" if arguments.program else "20", *follow, *files])


def user(stack: Stack, arguments: argparse.Namespace) -> None:
    if arguments.name == stack.settings["ADMIN_USER"]:
        raise StackError(f"change ADMIN_PASSWORD in {stack.layout.env_file} instead, then `make up`")
    role = ["--role", arguments.role] if arguments.role else []
    stack.gateway.change_users("add", arguments.name, *role)
    _let_nginx_read_users(stack)


def user_remove(stack: Stack, arguments: argparse.Namespace) -> None:
    stack.gateway.change_users("remove", arguments.name)
    _let_nginx_read_users(stack)


def dead_letters(stack: Stack, arguments: argparse.Namespace) -> None:
    for service in stack.services:
        _ask(service, "dead-letters")


def retry(stack: Stack, arguments: argparse.Namespace) -> None:
    word = arguments.queue.partition(".")[0]
    service = next((service for service in stack.services if service.word == word), None)
    if service is None:
        raise StackError(f"no service has a queue {arguments.queue!r}: `make dead-letters` lists them")
    _ask(service, "retry", arguments.queue)


def _ask(service: Service, *words: str) -> None:
    worker = service.worker
    command = [*worker.command[:-1], *words]
    if subprocess.run(command, env={**os.environ, **worker.environment}).returncode:
        raise StackError("see above")


def _let_nginx_read_users(stack: Stack) -> None:
    if stack.supervisor.is_up():
        stack.supervisor.signal(NGINX, "HUP")


COMMANDS: dict[str, Callable[[Stack, argparse.Namespace], int | None]] = {
    "up": up,
    "down": down,
    "clean": clean,
    "env": env,
    "url": url,
    "status": status,
    "logs": logs,
    "user": user,
    "user-remove": user_remove,
    "dead-letters": dead_letters,
    "retry": retry,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deploy/local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    parsers = {name: commands.add_parser(name) for name in COMMANDS}
    parsers["up"].add_argument("--reload", action="store_true", help="take in changes of the code")
    parsers["logs"].add_argument("program", nargs="?", default="")
    parsers["logs"].add_argument("--no-follow", dest="follow", action="store_false")
    parsers["user"].add_argument("name")
    parsers["user"].add_argument("role", nargs="?", default="")
    parsers["user-remove"].add_argument("name")
    parsers["retry"].add_argument("queue")
    return parser
