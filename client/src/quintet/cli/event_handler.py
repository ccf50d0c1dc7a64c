"""The process that handles one event."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quintet.cli.output import json_line

if TYPE_CHECKING:
    from quintet import ReceivedEvent
    from quintet.cli.stopping import StopSignals


@dataclass(frozen=True)
class Outcome:
    """How a handler ended; the exit code is negative if a signal ended it."""

    exit_code: int

    @property
    def is_success(self) -> bool:
        return self.exit_code == 0

    @property
    def reason(self) -> str:
        if self.exit_code >= 0:
            return f"exit code {self.exit_code}"
        try:
            return f"ended by {signal.Signals(-self.exit_code).name}"
        except ValueError:
            return f"ended by signal {-self.exit_code}"


@dataclass(frozen=True)
class NotStarted:
    """The handler could not be started, for instance because its interpreter does not exist."""

    reason: str


class EventHandler:
    """Starts the command for each event, and waits for its end."""

    def __init__(
        self, command: Sequence[str], consumer: str, signals: "StopSignals", *, is_stdout_reserved: bool
    ) -> None:
        self._command, self._consumer, self._signals = command, consumer, signals
        self._stdout = sys.stderr if is_stdout_reserved else None

    def run(self, event: "ReceivedEvent") -> Outcome | NotStarted | None:
        """Return the outcome; None if the user ended the handler, which says nothing about the event."""
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=self._stdout,
                env={**os.environ, **_variables(event, self._consumer)},
                # Ctrl-C in a terminal is sent to the whole process group, but the handler may finish.
                start_new_session=True,
            )
        except OSError as error:
            return NotStarted(error.strerror or str(error))
        with self._signals.terminating(process):
            # A handler need not read its input: `communicate` ignores a closed pipe.
            process.communicate(json_line(event).encode() + b"\n")
        return None if self._signals.has_terminated else Outcome(process.returncode)


def _variables(event: "ReceivedEvent", consumer: str) -> dict[str, str]:
    return {
        "QUINTET_CONSUMER": consumer,
        "QUINTET_STREAM": event.stream,
        "QUINTET_EVENT_ID": event.id,
        "QUINTET_EVENT_NAME": event.name,
        "QUINTET_EVENT_VERSION": str(event.version),
        "QUINTET_EVENT_POSITION": str(event.position),
        "QUINTET_EVENT_REQUEST_ID": event.request_id,
    }
