"""The commands behind the Makefile's targets when the stack runs without containers."""

import argparse
import os
import subprocess
import sys
import time

from quintet_local import commands, gateway, loading, startup
from quintet_local.layout import default_layout
from quintet_local.progress import StackError, say
from quintet_local.services import Service
from quintet_local.stack import Stack


def main() -> int:
    return commands.run("deploy/local", __doc__, COMMANDS, lambda: Stack(default_layout()))


def up(stack: Stack, arguments: argparse.Namespace) -> None:
    startup.up(stack, reload=arguments.reload, tls=arguments.tls)
    commands.say_where(stack.gateway.address, stack.settings)


def down(stack: Stack, arguments: argparse.Namespace) -> None:
    stack.down()


def clean(stack: Stack, arguments: argparse.Namespace) -> None:
    if not (remains := stack.remains()):
        say("nothing to remove: no stack exists here")
        return
    stack.layout.claim()
    commands.confirm_removal(remains, arguments)
    stack.clean()


def url(stack: Stack, arguments: argparse.Namespace) -> None:
    print(gateway.address_with_password(stack.settings))


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
    commands.show_health(stack.gateway.address, health)
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
    commands.refuse_administrator(arguments.name, stack.settings)
    role = ["--role", arguments.role] if arguments.role else []
    _change_users(stack, "add", arguments.name, *role)


def user_remove(stack: Stack, arguments: argparse.Namespace) -> None:
    commands.refuse_administrator(arguments.name, stack.settings)
    _change_users(stack, "remove", arguments.name)


def users(stack: Stack, arguments: argparse.Namespace) -> None:
    stack.gateway.list_users()


def dead_letters(stack: Stack, arguments: argparse.Namespace) -> None:
    for service in stack.services:
        _ask(service, "dead-letters")


def retry(stack: Stack, arguments: argparse.Namespace) -> None:
    word = arguments.queue.partition(".")[0]
    service = next((service for service in stack.services if service.word == word), None)
    if service is None:
        raise StackError(f"no service has a queue {arguments.queue!r}: `make dead-letters` lists them")
    _ask(service, "retry", arguments.queue)


def load_data(stack: Stack, arguments: argparse.Namespace) -> None:
    loading.load(stack.gateway.address, stack.settings, arguments.files)


def _ask(service: Service, *words: str) -> None:
    worker = service.worker
    command = [*worker.command[:-1], *words]
    if subprocess.run(command, env={**os.environ, **worker.environment}).returncode:
        raise StackError("see above")


def _change_users(stack: Stack, *arguments: str) -> None:
    def reload() -> bool:
        is_up = bool(stack.supervisor.states().get(gateway.NAME, {}).get("pid"))
        if is_up:
            stack.supervisor.signal(gateway.NAME, "HUP")
        return is_up

    stack.gateway.change_users(arguments, reload)


COMMANDS: dict[str, commands.Command] = {
    "up": up,
    "down": down,
    "clean": clean,
    "url": url,
    "status": status,
    "logs": logs,
    "user": user,
    "user-remove": user_remove,
    "users": users,
    "dead-letters": dead_letters,
    "retry": retry,
    "load-data": load_data,
}
