"""Commands that the Makefile's targets call when the stack runs without containers."""

import argparse
import os
import sys
import time

from quintet_local import commands, rotation, startup, upgrade
from quintet_local.layout import default_layout
from quintet_local.processes import Processes
from quintet_local.progress import StackError, log_progress
from quintet_local.stack import Stack


def main() -> int:
    return commands.run("deploy/local", __doc__, COMMANDS, lambda: Stack(default_layout()))


def up(stack: Stack, arguments: argparse.Namespace) -> None:
    startup.up(stack, reload=arguments.reload, tls=arguments.tls)
    commands.print_access(stack.settings)


def down(stack: Stack, arguments: argparse.Namespace) -> None:
    stack.down()


def clean(stack: Stack, arguments: argparse.Namespace) -> None:
    if not (paths := stack.removable_paths()):
        log_progress("nothing to remove: no stack exists here")
        return
    stack.layout.check_owner()
    commands.confirm_removal(paths, arguments)
    stack.clean()


def status(stack: Stack, arguments: argparse.Namespace) -> int:
    """Return exit code 0 only if all programs run and the gateway reports every service as healthy."""
    states = stack.supervisor.states()
    if not states:
        print("not running (`make up` starts it)")
        return 3
    print(f"{'PROGRAM':<18}{'STATE':<10}{'PID':>8}  UP FOR")
    for name, state in states.items():
        up_for = f"{time.time() - state['start']:.0f} s" if state["pid"] else state["description"]
        print(f"{name:<18}{state['statename']:<10}{state['pid'] or '-':>8}  {up_for}")
    is_healthy = commands.show_health(stack.settings)
    return 0 if is_healthy and all(state["pid"] for state in states.values()) else 3


def logs(stack: Stack, arguments: argparse.Namespace) -> None:
    """Print the log of one program or of all and follow it; print all lines of one request, and return."""
    programs = sorted(file.stem for file in stack.layout.logs.glob("*.log"))
    chosen = [arguments.program] if arguments.program else programs
    if not programs or not set(chosen) <= set(programs):
        raise StackError(f"program must be one of {', '.join(programs) or '(no logs yet)'}: {arguments.program!r}")
    follow = ["-F"] if arguments.follow and not arguments.request else []
    files = [str(stack.layout.log_of(name)) for name in chosen]
    sys.stdout.flush()
    if arguments.request:
        rotated = [str(file) for name in chosen for file in stack.layout.rotated_logs(name)]
        commands.print_logs(["cat", *rotated, *files], os.environ, arguments)
    elif arguments.level:
        commands.print_logs(["tail", "-q", "-n", "+1", *follow, *files], os.environ, arguments)
    else:
        os.execvp("tail", ["tail", "-n", "100" if arguments.program else "20", *follow, *files])


def restore(stack: Stack, arguments: argparse.Namespace) -> None:
    commands.restore(stack, arguments, start_servers=startup.start_servers, up=up)


def upgrade_programs(stack: Stack, arguments: argparse.Namespace) -> None:
    upgrade.run(stack, Processes(stack), arguments)


def rotate_passwords(stack: Stack, arguments: argparse.Namespace) -> None:
    def open_programs(stack: Stack) -> Processes:
        programs = Processes(stack)
        programs.configure()
        return programs

    Processes(stack).check_running()
    rotation.run(stack, open_programs, arguments)


COMMANDS: dict[str, commands.Command] = {
    "up": up,
    "down": down,
    "clean": clean,
    "status": status,
    "logs": logs,
    "restore": restore,
    "rotate-passwords": rotate_passwords,
    "upgrade": upgrade_programs,
}
