"""The supervisor that keeps the programs running: its configuration and how to talk to it."""

import os
import resource
import subprocess
import sys
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor import xmlrpc as supervisor_xmlrpc

from quintet_local.layout import Layout
from quintet_local.progress import wait_until

ITSELF = "supervisord"
WANTED_FILES = 4096
LOG_BYTES = "10MB"
OLD_LOGS = 3
# Pauses between attempts grow by a second each: about an hour and a half until it gives up.
MOST_ATTEMPTS = 100


@dataclass(frozen=True)
class Program:
    """One supervised process: what to run, and how it likes to be stopped.

    `prefix` are words before the command which choose its user. `orphan_signal` is what the process receives when its
    supervisor dies: one that makes it end within seconds, together with the processes that it has started.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    stop_signal: str = "TERM"
    stop_seconds: int = 30
    orphan_signal: str = "KILL"


class Supervisor:
    """The supervisor of one stack, running or not."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.socket = layout.socket(ITSELF)
        self.configuration = layout.home / "supervisord.conf"

    def ask(self, question: str, *arguments: object) -> Any:
        transport = supervisor_xmlrpc.SupervisorTransport(None, None, f"unix://{self.socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, question)(*arguments)

    def pid(self) -> int:
        return int(self.ask("getPID"))

    def is_up(self) -> bool:
        try:
            return self.ask("getState")["statename"] == "RUNNING"
        except (OSError, xmlrpc.client.Error):
            return False

    def configure(self, programs: list[Program]) -> None:
        text = render(self.layout, programs)
        with open(os.open(self.configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(text)

    def start(self) -> None:
        """Starts with an environment of its own: what a developer's shell holds reaches no program."""
        self.socket.unlink(missing_ok=True)
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        supervisord = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.configuration)]
        subprocess.run(
            [*_holding(self.layout.programs_lock), *supervisord],
            env=environment | {"LANG": "C.UTF-8", "TMPDIR": str(self.layout.temporary)},
            check=True,
        )
        wait_until("supervisor", self.is_up, within_seconds=60)

    def take_in_changes(self) -> list[str]:
        """Makes the running supervisor follow its file; the names of changed programs, now stopped."""
        added, changed, removed = self.ask("reloadConfig")[0]
        for name in [*changed, *removed]:
            self.stop([name])
            self.ask("removeProcessGroup", name)
        for name in [*added, *changed]:
            self.ask("addProcessGroup", name)
        return [*added, *changed]

    def states(self) -> dict[str, dict[str, Any]]:
        """What the supervisor says of each program; empty if it is not running."""
        try:
            return {info["name"]: info for info in self.ask("getAllProcessInfo")}
        except (OSError, xmlrpc.client.Error):
            return {}

    def start_program(self, name: str) -> None:
        """Asks for it; also when it runs already. Waiting for it to be ready is the caller's."""
        try:
            self.ask("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != supervisor_xmlrpc.Faults.ALREADY_STARTED:
                raise

    def stop(self, names: list[str]) -> None:
        """Stops them side by side and waits until all have ended."""
        self.begin_to_stop(names)
        self.wait_for_end(names)

    def begin_to_stop(self, names: list[str]) -> None:
        for name in names:
            try:
                self.ask("stopProcess", name, False)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != supervisor_xmlrpc.Faults.NOT_RUNNING:
                    raise

    def wait_for_end(self, names: list[str]) -> None:
        wait_until(f"end of {', '.join(names)}", lambda: not self._alive(names), within_seconds=60)

    def signal(self, name: str, signal: str) -> None:
        self.ask("signalProcess", name, signal)

    def shut_down(self) -> None:
        """Ask for it; orphans.py waits for it."""
        self.ask("shutdown")

    def _alive(self, names: list[str]) -> bool:
        states = self.states()
        return any(states[name]["pid"] for name in names if name in states)


def render(layout: Layout, programs: list[Program]) -> str:
    """supervisord.conf; `%` is doubled, as it begins an expansion there."""
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = WANTED_FILES if hard_limit == resource.RLIM_INFINITY else min(WANTED_FILES, hard_limit)
    head: dict[str, dict[str, object]] = {
        "unix_http_server": {"file": layout.socket(ITSELF), "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisord": {
            "directory": layout.home,
            "pidfile": layout.home / f"{ITSELF}.pid",
            "logfile": layout.log_of(ITSELF),
            "logfile_maxbytes": LOG_BYTES,
            "logfile_backups": OLD_LOGS,
            "minfds": files,
            "umask": "077",
            **({"user": "root"} if os.getuid() == 0 else {}),
        },
    }
    sections = head | {f"program:{program.name}": _section(layout, program) for program in programs}
    return "\n".join(
        f"[{title}]\n" + "".join(f"{key} = {_escaped(value)}\n" for key, value in options.items())
        for title, options in sections.items()
    )


def _section(layout: Layout, program: Program) -> dict[str, object]:
    # After a change of the user, which would clear it.
    death_signal = ["setpriv", "--pdeathsig", program.orphan_signal]
    words = [*_holding(layout.programs_lock), *program.prefix, *death_signal, *program.command]
    return {
        "command": " ".join(_quoted(word) for word in words),
        "environment": ",".join(f"{name}={_quoted(value)}" for name, value in program.environment.items()),
        "directory": layout.home,
        "autostart": "false",
        "autorestart": "true",
        "startsecs": 1,
        "startretries": MOST_ATTEMPTS,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_seconds,
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": layout.log_of(program.name),
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": OLD_LOGS,
    }


def _quoted(word: str) -> str:
    if '"' in word or "\n" in word:
        raise ValueError(f"not possible in the supervisor's configuration: {word!r}")
    return f'"{word}"'


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


def _holding(lock: Path) -> list[str]:
    """Return the words before a command that lock the file as long as the command or anything it starts is alive."""
    return ["flock", "--shared", "--no-fork", str(lock)]
