"""Processes that each run one function for the worker, which has threads and so must not fork itself.

They are forked from a server that has loaded the libraries (fork_server.py). It ends when the worker ends, however that
is killed, and the kernel kills its processes with it.
"""

import atexit
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

_CHECK_SECONDS = 0.2
_END_SECONDS = 5.0


class ProcessDied(Exception):
    """The process was killed, by the kernel for example because memory is short, or it crashed."""


class ProcessStuck(Exception):
    """The process made no progress for too long, and was killed."""


class ForkServer:
    """Starts the server with the first call, and again if that has died.

    The server calls `prepare(*args)` before it forks for the first time: what that loads, no process has to load.
    """

    def __init__(self, prepare: Callable[..., None], *args: Any) -> None:
        self._prepare = (prepare, args)
        self._lock = threading.Lock()
        self._program: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        atexit.register(self.close)

    def call(
        self, function: Callable[..., Any], *args: Any, progress_seconds: float, while_running: Callable[[], None]
    ) -> Any:
        """Return what `function(progress, *args)` returns, which must not be a bool, in a process of its own.

        After `progress(True)` its next message must follow within `progress_seconds`, until `progress(False)`.
        `while_running` is called several times a second; what it raises ends the process.
        Raises ProcessDied and ProcessStuck. Whatever is raised: the process has ended by then.
        """
        try:
            with self._forked() as connection:
                # A server that has just been started loads its libraries first.
                pid = _message(connection, progress_seconds, while_running)
                with _killed_unless_successful(pid, connection):
                    connection.send((function, args))
                    return _message(connection, progress_seconds, while_running)
        except (EOFError, ConnectionError) as error:
            raise ProcessDied from error

    @contextmanager
    def _forked(self) -> Iterator[Connection]:
        ours, theirs = socket.socketpair()
        with Connection(ours.detach()) as connection:
            with self._lock, theirs:
                socket.send_fds(self._running(), [b"+"], [theirs.fileno()])
            yield connection

    def _running(self) -> socket.socket:
        if self._socket is None or self._program is None or self._program.poll() is not None:
            self.close()
            self._socket, theirs = socket.socketpair()
            with theirs:
                number = theirs.fileno()
                command = [sys.executable, "-m", "specstore_service.operations.fork_server", str(number)]
                self._program = subprocess.Popen(command, pass_fds=[number])
            with Connection(os.dup(self._socket.fileno())) as connection:
                connection.send(self._prepare)
        return self._socket

    def close(self) -> None:
        """End the server, and with it all processes."""
        if self._socket and self._program:
            self._socket.close()
            self._program.wait()
            self._socket = None


@contextmanager
def _killed_unless_successful(pid: int, connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        # The connection is closed when the process has ended.
        with suppress(EOFError, ConnectionError):
            while connection.poll(_END_SECONDS):
                connection.recv_bytes()
        raise


def _message(connection: Connection, progress_seconds: float, while_running: Callable[[], None]) -> Any:
    """Return the next message that is not about progress."""
    deadline = math.inf
    while True:
        if connection.poll(_CHECK_SECONDS):
            message = connection.recv()
            if not isinstance(message, bool):
                return message
            deadline = time.monotonic() + progress_seconds if message else math.inf
        elif time.monotonic() > deadline:
            raise ProcessStuck
        while_running()
