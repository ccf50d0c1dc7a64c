"""SIGTERM and SIGINT: what a signal does depends on what the process does when it arrives."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

import typer

# Until when an acknowledgement may still be sent after a signal.
_ACKNOWLEDGE_SECONDS = 10


class Stopped(BaseException):
    """A signal interrupted waiting. Not an Exception, because nothing may handle it as a failure of an event."""


class StopSignals:
    """Stops while the process waits for an event, but neither between handler and acknowledgement nor within them.

    1. While it waits, a signal stops it immediately.
    2. While the handler runs, the first signal is remembered; the second one ends the handler.
    3. While an acknowledgement is sent, a signal is remembered; the acknowledgement has ten seconds left.
    """

    def __init__(self) -> None:
        self.has_terminated = False
        self.was_acknowledgement_interrupted = False
        self._is_stopping = False
        self._is_waiting = False
        self._is_acknowledging = False
        self._process: subprocess.Popen[bytes] | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._on_signal)
        self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_alarm)
        return self

    def __exit__(
        self, class_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raise Stopped within the block, or before it if a signal has arrived already."""
        self._is_waiting = True
        try:
            if self._is_stopping:
                raise Stopped
            yield
        finally:
            self._is_waiting = False

    @contextlib.contextmanager
    def terminating(self, process: "subprocess.Popen[bytes]") -> Iterator[None]:
        """End the handler's processes at the second signal within the block."""
        self._process = process
        try:
            yield
        finally:
            self._process = None

    @contextlib.contextmanager
    def acknowledging(self) -> Iterator[None]:
        """Limit the time of the block from a signal on; raise Stopped when it is over."""
        self._is_acknowledging = True
        if self._is_stopping:
            signal.alarm(_ACKNOWLEDGE_SECONDS)
        try:
            yield
        finally:
            self._is_acknowledging = False
            signal.alarm(0)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        is_first, self._is_stopping = not self._is_stopping, True
        if self._is_waiting:
            raise Stopped
        if self._process is not None:
            if is_first:
                # Standard error may be a pipe that was closed; an exception here would abandon the handler.
                with contextlib.suppress(OSError):
                    typer.echo("Stopping when the handler has finished; a second signal ends it.", err=True)
            else:
                self._terminate(self._process)
        elif self._is_acknowledging:
            signal.alarm(_ACKNOWLEDGE_SECONDS if is_first else 1)

    def _terminate(self, process: "subprocess.Popen[bytes]") -> None:
        self.has_terminated = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if self._is_acknowledging:
            self.was_acknowledgement_interrupted = True
            raise Stopped
