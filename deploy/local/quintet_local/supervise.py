"""The supervisor that keeps the programs running: its configuration and its XML-RPC interface."""

import os
import resource
import subprocess
import sys
import xmlrpc.client
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor import xmlrpc as supervisor_xmlrpc

from quintet_local.layout import Layout
from quintet_local.progress import wait_until

NAME = "supervisord"
MAX_OPEN_FILES = 4096
LOG_BYTES = "10MB"
LOG_BACKUPS = 3
# The delay between attempts grows by one second each time, so the supervisor gives up after about 90 minutes.
MAX_START_ATTEMPTS = 100


@dataclass(frozen=True)
class Program:
    """One supervised process: its command, its environment and how it is stopped.

    `prefix` contains the arguments before the command that change its user. The process receives `orphan_signal` when
    its supervisor dies; the signal must make it and its child processes end within seconds.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    stop_signal: str = "TERM"
    stop_seconds: int = 30
    orphan_signal: str = "KILL"


class Supervisor:
    """The supervisor of one stack, whether or not it is running."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.socket = layout.socket(NAME)
        self.configuration = layout.home / "supervisord.conf"

    def call(self, method: str, *arguments: object) -> Any:
        transport = supervisor_xmlrpc.SupervisorTransport(None, None, f"unix://{self.socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)

    def pid(self) -> int:
        return int(self.call("getPID"))

    def is_up(self) -> bool:
        try:
            return bool(self.call("getState")["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def configure(self, programs: list[Program]) -> None:
        text = render(self.layout, programs)
        with open(os.open(self.configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(text)

    def start(self) -> None:
        """Start with a minimal environment, so that no variable of a developer's shell reaches a program."""
        self.socket.unlink(missing_ok=True)
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        supervisord = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.configuration)]
        subprocess.run(
            [*_with_shared_lock(self.layout.programs_lock), *supervisord],
            env=environment | {"LANG": "C.UTF-8", "TMPDIR": str(self.layout.temporary)},
            check=True,
        )
        wait_until("supervisor: running", self.is_up, within_seconds=60)

    def reload_config(self, names: Collection[str] | None = None) -> list[str]:
        """Apply the configuration file, of only the named programs if there are any.

        Return the names of new and changed programs, which are stopped now.
        """
        added, changed, removed = (
            [name for name in programs if names is None or name in names] for programs in self.call("reloadConfig")[0]
        )
        for name in [*changed, *removed]:
            self.remove(name)
        for name in [*added, *changed]:
            self.call("addProcessGroup", name)
        return [*added, *changed]

    def remove(self, name: str) -> None:
        """Stop a program, and let the supervisor forget it; do nothing if it does not exist."""
        if name in self.states():
            self.stop([name])
            self.call("removeProcessGroup", name)

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the supervisor's report for each program, or an empty dict if it is not running."""
        try:
            return {info["name"]: info for info in self.call("getAllProcessInfo")}
        except (OSError, xmlrpc.client.Error):
            return {}

    def start_program(self, name: str) -> None:
        """Request the start of a program, without waiting for it; do nothing if it is running."""
        try:
            self.call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != supervisor_xmlrpc.Faults.ALREADY_STARTED:
                raise

    def stop(self, names: list[str]) -> None:
        """Stop the programs concurrently and wait until all of them have ended."""
        self.request_stop(names)
        self.wait_until_stopped(names)

    def request_stop(self, names: list[str]) -> None:
        for name in names:
            try:
                self.call("stopProcess", name, False)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != supervisor_xmlrpc.Faults.NOT_RUNNING:
                    raise

    def wait_until_stopped(self, names: list[str]) -> None:
        wait_until(f"{', '.join(names)}: stopped", lambda: not self._is_any_running(names), within_seconds=60)

    def signal(self, name: str, signal: str) -> None:
        self.call("signalProcess", name, signal)

    def shut_down(self) -> None:
        """Request the shutdown of the supervisor; orphans.py waits for it."""
        self.call("shutdown")

    def _is_any_running(self, names: list[str]) -> bool:
        states = self.states()
        return any(states[name]["pid"] for name in names if name in states)


def render(layout: Layout, programs: list[Program]) -> str:
    """Return supervisord.conf, in which `%` is doubled because it begins an expansion."""
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    open_files = MAX_OPEN_FILES if hard_limit == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard_limit)
    base_sections: dict[str, dict[str, object]] = {
        "unix_http_server": {"file": layout.socket(NAME), "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisord": {
            "directory": layout.home,
            "pidfile": layout.home / f"{NAME}.pid",
            "logfile": layout.log_of(NAME),
            "logfile_maxbytes": LOG_BYTES,
            "logfile_backups": LOG_BACKUPS,
            "minfds": open_files,
            "umask": "077",
            **({"user": "root"} if os.getuid() == 0 else {}),
        },
    }
    sections = base_sections | {f"program:{program.name}": _section(layout, program) for program in programs}
    return "\n".join(
        f"[{title}]\n" + "".join(f"{key} = {_escape(value)}\n" for key, value in options.items())
        for title, options in sections.items()
    )


def _section(layout: Layout, program: Program) -> dict[str, object]:
    # This follows the prefix, because a change of the user would clear the signal.
    death_signal = ["setpriv", "--pdeathsig", program.orphan_signal]
    command = [*_with_shared_lock(layout.programs_lock), *program.prefix, *death_signal, *program.command]
    return {
        "command": " ".join(_quote(argument) for argument in command),
        "environment": ",".join(f"{name}={_quote(value)}" for name, value in program.environment.items()),
        "directory": layout.home,
        "autostart": "false",
        "autorestart": "true",
        "startsecs": 1,
        "startretries": MAX_START_ATTEMPTS,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_seconds,
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": layout.log_of(program.name),
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": LOG_BACKUPS,
    }


def _quote(value: str) -> str:
    if '"' in value or "\n" in value:
        raise ValueError(f"a value in the supervisor's configuration must not contain quotes or newlines: {value!r}")
    return f'"{value}"'


def _escape(value: object) -> str:
    return str(value).replace("%", "%%")


def _with_shared_lock(lock: Path) -> list[str]:
    """Return arguments before a command that hold the lock until it and its child processes have ended."""
    return ["flock", "--shared", "--no-fork", str(lock)]
