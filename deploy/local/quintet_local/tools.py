"""Programs of a stack's servers, such as psql, which each deployment mode calls in its own way."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from quintet_local.progress import StackError

_END = "-- end of the result --"


@dataclass(frozen=True)
class Tool:
    """A command with its environment; `name` describes it in messages."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None) -> bytes:
        """Run it with these files, and return its output if there is none for it; raise a StackError if it fails."""
        result = subprocess.run(
            self.command,
            env=self.environment,
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if result.returncode:
            output = (result.stdout or b"") + result.stderr
            raise StackError(f"{self.name} failed:\n{output.decode(errors='replace').strip()}")
        return result.stdout or b""


class Session:
    """A session of psql, which ends with the block; it keeps locks and a transaction between statements."""

    def __init__(self, psql: Tool) -> None:
        self._name = psql.name
        self._process = subprocess.Popen(
            psql.command,
            env=psql.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Errors follow the rows of the statements before, and psql ends after the first one.
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def query(self, sql: str) -> list[list[str]]:
        """Run statements and return the rows of their results; raise a StackError if one fails."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(f"{sql};\n\\echo {_END}\n")
        except BrokenPipeError:
            pass
        rows: list[list[str]] = []
        for line in stdout:
            if line.rstrip("\n") == _END:
                return rows
            rows.append(line.rstrip("\n").split("|"))
        raise StackError("\n".join([f"{self._name} failed:", *("|".join(row) for row in rows)]))

    def value(self, sql: str) -> str:
        return self.query(sql)[-1][0]
