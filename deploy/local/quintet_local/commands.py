"""Commands, error reporting and output that both deployment modes share."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from quintet_local import backup, dead_letters, envfile, gateway, loading, ports, settings
from quintet_local import restore as restoring
from quintet_local.log_filter import LEVELS, LogFilter, sorted_by_time
from quintet_local.progress import StackError, log_progress

Command = Callable[[Any, argparse.Namespace], int | None]
# Adds arguments to the parsers of commands that only one deployment mode has.
AddArguments = Callable[[Mapping[str, argparse.ArgumentParser]], None]


class Stack(backup.Stack, Protocol):
    """Interface of a stack that the shared commands use."""

    def reload_gateway(self) -> bool:
        """Reload the gateway, and return whether it is running."""


def run(
    prog: str,
    description: str | None,
    stack_commands: Mapping[str, Command],
    create_stack: Callable[[], Any],
    add_arguments: AddArguments = lambda _parsers: None,
) -> int:
    """Run the command that the arguments name, and return its exit code."""
    commands = {**stack_commands, **_COMMON}
    arguments = _parser(prog, description, commands, add_arguments).parse_args()
    try:
        return commands[arguments.command](create_stack(), arguments) or 0
    except StackError as error:
        print(f"\n{arguments.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if arguments.command != "logs":
            log_progress("interrupted; `make up` continues from here, `make down` stops the stack")
        return 130


def bind_env_file(env_file: Path) -> None:
    """Bind .env to its folder, and report if it is a copy or does not exist yet."""
    if original := envfile.bind_to_folder(env_file):
        log_progress(f"{env_file} is a copy of {original}: this folder gets its own stack, with the same passwords")
    elif not env_file.exists():
        log_progress(f"creating {env_file} with new secrets")


def ensure_settings(env_file: Path, services: Sequence[str]) -> dict[str, str]:
    """Return the settings after adding those to .env that do not exist; raise a StackError for an invalid value."""
    bind_env_file(env_file)
    from_environment = settings.from_environment(services)
    if from_environment:
        log_progress(f"from the environment, in place of .env: {', '.join(from_environment)}")
    values = envfile.ensure(env_file, services, _choose_port) | from_environment
    settings.validate(values, services)
    return values


def _choose_port(first: int) -> int:
    port = ports.next_free_port(first)
    if port != first:
        log_progress(f"port {first} is in use: the gateway uses {port} (see .env)")
    return port


def confirm_removal(removals: Iterable[object], arguments: argparse.Namespace) -> None:
    lines = ["make clean stops the stack and removes:", *(f"  {removal}" for removal in removals)]
    _confirm("\n".join(lines), "Remove", arguments)


def _confirm(warning: str, action: str, arguments: argparse.Namespace) -> None:
    """Print the warning, and ask for confirmation. Without a terminal, YES=1 is required."""
    print(warning, file=sys.stderr)
    if arguments.yes or os.environ.get("YES") == "1":
        return
    if not sys.stdin.isatty():
        raise StackError(f"nothing was changed: without a terminal, confirm with `make {arguments.command} … YES=1`")
    print(f"{action} all of this? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise StackError("nothing was changed")


def back_up(stack: Stack, arguments: argparse.Namespace) -> None:
    folder = Path(arguments.folder or f"backups/{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}").resolve()
    envfile.load_existing(stack.env_file)  # before the lock, which would create the folder of a stack
    with stack.exclusive_lock():
        restoring.reject_interrupted(stack.env_file)
        backup.create(stack, folder)


def restore(
    stack: Stack,
    arguments: argparse.Namespace,
    *,
    start_servers: Callable[[Any], None],
    up: Callable[[Any, argparse.Namespace], None],
) -> None:
    folder = Path(arguments.folder).resolve()
    manifest = restoring.read_manifest(stack, folder)
    with stack.exclusive_lock():
        start_servers(stack)
        restoring.reject_other_storage(stack, manifest)
        if replaced := restoring.count_current(stack):
            _confirm(
                f"make restore replaces all data of this stack: {backup.describe(replaced)}.", "Replace", arguments
            )
        report = restoring.replace(stack, folder, manifest, arguments.skip)
    up(stack, arguments)
    invariants = restoring.verify(stack.settings)
    print(
        f"\n  restored   {backup.describe(manifest['counts'])}\n  state of   {manifest['created_at']}"
        f" (version {manifest['version']})\n  sequences  {report}\n  verified   {invariants}"
    )


def print_access(settings: Mapping[str, str]) -> None:
    print(
        f"\n  URL       {gateway.address(settings)}\n  user      {settings['ADMIN_USER']}\n"
        f"  password  {settings['ADMIN_PASSWORD']}\n\n"
        "  next: first steps with curl and quintet in README.md; make status; make logs S=<program>; make help"
    )


def show_health(settings: Mapping[str, str]) -> bool:
    """Print the health that the gateway reports, and return whether everything is healthy."""
    health = gateway.fetch_health(settings)
    print(f"\nhealth at {gateway.address(settings)}/health: {health['status']}")
    for service, report in health.get("services", {}).items():
        print(f"  {service:<18}{report.get('status')}")
    return bool(health["status"] == "OK")


def url(stack: Stack, arguments: argparse.Namespace) -> None:
    print(gateway.address_with_password(stack.settings))


def user(stack: Stack, arguments: argparse.Namespace) -> None:
    role = ["--role", arguments.role] if arguments.role else []
    condition = [f"--{arguments.condition}"] if arguments.condition else []
    _change_users(stack, "add", arguments.name, *role, *condition)


def user_remove(stack: Stack, arguments: argparse.Namespace) -> None:
    _change_users(stack, "remove", arguments.name)


def _change_users(stack: Stack, action: str, name: str, *options: str) -> None:
    if name == stack.settings["ADMIN_USER"]:
        raise StackError(
            f"NAME must not be {name}, the administrator in .env: change ADMIN_USER or ADMIN_PASSWORD there,"
            " then run `make up`"
        )
    gateway.change_users([action, name, *options], stack.settings, stack.users_environment(), stack.reload_gateway)


def users(stack: Stack, arguments: argparse.Namespace) -> None:
    gateway.list_users(stack.users_environment())


def list_dead_letters(stack: Stack, arguments: argparse.Namespace) -> None:
    queues, unknown = gateway.fetch_queues(stack.settings)
    for queue in queues:
        dead_letters.print_queue(stack.settings, queue)
    if unknown:
        raise StackError(_describe_unknown_queues(unknown))


def retry_or_discard(stack: Stack, arguments: argparse.Namespace) -> None:
    queues, unknown = gateway.fetch_queues(stack.settings)
    if arguments.queue not in queues:
        problem = f"QUEUE must be one of {', '.join(queues) or '(none are known)'}: {arguments.queue!r}"
        raise StackError(f"{problem}\n{_describe_unknown_queues(unknown)}" if unknown else problem)
    dead_letters.move(stack.settings, arguments.command, arguments.queue, arguments.message)


def _describe_unknown_queues(services: Iterable[str]) -> str:
    return (
        f"the queues of {', '.join(services)} are unknown, because no worker has reported them: run `make status`,"
        " and try again when the workers are running"
    )


def print_logs(command: Sequence[str], environment: Mapping[str, str], arguments: argparse.Namespace) -> None:
    """Run a command that prints logs, and print the lines that the arguments select.

    The lines of one request are sorted by time; all others are printed as they arrive.
    """
    # `make logs L=warning | head` ends like any other program in a pipeline.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    log_filter = LogFilter(arguments.request, arguments.level)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        lines = log_filter.select(process.stdout or ())
        for line in sorted_by_time(lines) if log_filter.request_id else lines:
            print(line, end="", flush=True)
    if process.returncode:
        raise StackError("the logs could not be read: see above")


def load_data(stack: Stack, arguments: argparse.Namespace) -> None:
    loading.load(gateway.address_with_password(stack.settings), arguments.files)


_COMMON: dict[str, Command] = {
    "url": url,
    "user": user,
    "user-remove": user_remove,
    "users": users,
    "dead-letters": list_dead_letters,
    "retry": retry_or_discard,
    "discard": retry_or_discard,
    "load-data": load_data,
    "backup": back_up,
}


def _parser(
    prog: str, description: str | None, commands: Mapping[str, Command], add_arguments: AddArguments
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=description)
    choices = parser.add_subparsers(dest="command", required=True, metavar="|".join(commands))
    parsers = {name: choices.add_parser(name) for name in commands}
    parsers["up"].add_argument("--reload", action="store_true", help="apply code changes to the running stack")
    parsers["up"].add_argument(
        "--tls", action="store_true", help="serve HTTPS; generate a self-signed certificate unless .env names one"
    )
    for name in ("clean", "restore"):
        parsers[name].add_argument("--yes", action="store_true", help="do not ask")
    parsers["backup"].add_argument("folder", nargs="?", default="")
    parsers["restore"].add_argument("folder")
    parsers["restore"].add_argument("--skip", type=restoring.skip_count, default=1000)
    # The stack is started at the end.
    parsers["upgrade"].add_argument("--no-backup", dest="backup", action="store_false", help="make no backup first")
    parsers["rotate-passwords"].add_argument("--administrator", action="store_true", help="also ADMIN_PASSWORD")
    parsers["restore"].set_defaults(reload=False, tls=False)
    parsers["logs"].add_argument("program", nargs="?", default="")
    parsers["logs"].add_argument("--request", default="", help="print all lines with this request ID, sorted by time")
    parsers["logs"].add_argument("--level", default="", choices=LEVELS, help="only this level and above")
    parsers["logs"].add_argument(
        "--no-follow", dest="follow", action="store_false", help="end after the existing lines"
    )
    parsers["user"].add_argument("name")
    parsers["user"].add_argument("role", nargs="?", default="")
    conditions = parsers["user"].add_mutually_exclusive_group()
    for condition in ("new", "existing"):
        conditions.add_argument(f"--{condition}", dest="condition", action="store_const", const=condition)
    parsers["user-remove"].add_argument("name")
    for name in ("retry", "discard"):
        parsers[name].add_argument("queue")
        parsers[name].add_argument("message", nargs="?", default="", help="the ID of one dead letter; all if omitted")
    parsers["load-data"].add_argument("files", nargs="*")
    add_arguments(parsers)
    return parser
