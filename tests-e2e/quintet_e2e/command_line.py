"""The command `quintet` of this checkout, run in a pipe or on a terminal of 80 columns."""

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyte

COMMAND = [sys.executable, "-W", "error", "-m", "quintet"]
COLUMNS, ROWS = 80, 24
SECONDS = 120
# These would change what is printed, or connect to another server.
_REMOVED = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "QUINTET_URL", "QUINTET_RETRY_SECONDS"}


@dataclass(frozen=True)
class Shown:
    """The screen of a person after a command has ended."""

    raw: str
    exit_code: int

    @property
    def lines(self) -> list[str]:
        raw_lines = self.raw.expandtabs().split("\n")
        # The emulator is so large that it neither wraps lines nor scrolls.
        screen = pyte.Screen(max(map(len, raw_lines)) + 1, len(raw_lines) + 1)
        pyte.Stream(screen).feed(self.raw)
        lines = [line.rstrip() for line in screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def width(self) -> int:
        return max(map(len, self.lines), default=0)


class CommandLine:
    """Runs commands as one user, in one folder, with a configuration folder of its own."""

    def __init__(self, url: str | None, folder: Path, **variables: str) -> None:
        self.folder = folder
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in _REMOVED and not name.lower().endswith("_proxy")
        }
        login = {} if url is None else {"QUINTET_URL": url}
        self.environment: Mapping[str, str] = {
            **inherited, "XDG_CONFIG_HOME": str(folder / "config"), "TERM": "xterm-256color", "TZ": "UTC", **login,
            **variables,
        }  # fmt: skip

    def run(self, *arguments: object, input: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in pipes."""
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            input=input,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment,
            timeout=SECONDS,
        )

    def output(self, *arguments: object, input: str = "") -> str:
        """Return what a command that must succeed prints into a pipe, which has neither colors nor cursor movements."""
        result = self.run(*arguments, input=input)
        assert result.returncode == 0, result.stderr
        assert "\x1b" not in result.stdout + result.stderr
        return result.stdout

    def rows(self, *arguments: object) -> list[list[str]]:
        """Return the cells of the table that a command prints into a pipe."""
        return [line.split("\t") for line in self.output(*arguments).splitlines()]

    def json(self, *arguments: object, input: str = "") -> Any:
        """Return the one document that a command prints with --json."""
        return json.loads(self.output(*_with_json(arguments), input=input))

    def json_lines(self, *arguments: object) -> list[Any]:
        return [json.loads(line) for line in self.output(*_with_json(arguments)).splitlines()]

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command in pipes that runs until it receives a signal."""
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )

    def show(
        self, *arguments: object, typed: str = "", program: list[str] | None = None, seconds: float = SECONDS
    ) -> Shown:
        """Run a command on a terminal of 80 columns, and return what it shows in the end."""
        master, slave = pty.openpty()
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        process = subprocess.Popen(
            [*(program or COMMAND), *map(str, arguments)],
            stdin=slave, stdout=slave, stderr=slave, cwd=self.folder, env=self.environment, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        try:
            raw = _read_to_end(master, typed.encode(), time.monotonic() + seconds)
            return Shown(raw, process.wait(SECONDS))
        finally:
            process.kill()
            process.wait()
            os.close(master)


def _with_json(arguments: tuple[object, ...]) -> list[object]:
    """Add --json before `--`, after which a handler's own arguments begin."""
    index = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:index], "--json", *arguments[index:]]


def _read_to_end(master: int, typed: bytes, deadline: float) -> str:
    """Return all output; type the text once the program has asked for it, that is, has printed a colon and a space."""
    output = b""
    while True:
        readable, _, _ = select.select([master], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, f"the command has not ended: {output!r}"
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux reports the end of the last process on the terminal as EIO.
            chunk = b""
        if not chunk:
            return output.decode("utf-8", "replace")
        output += chunk
        if typed and output.endswith(b": "):
            line, _, typed = typed.partition(b"\n")
            os.write(master, line + b"\n")
