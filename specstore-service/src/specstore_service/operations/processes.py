"""Processes that each run one function for the worker, which must not fork itself because it has threads.

They are forked from a server that has loaded the libraries (fork_server.py). The server exits when the worker ends,
even if the worker is killed, and the kernel then kills the server's processes.
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
from typing import Any, TypeVar, TypeVarTuple, cast

_POLL_SECONDS = 0.2
_KILL_TIMEOUT_SECONDS = 5.0

Args = TypeVarTuple("Args")
Result = TypeVar("Result")


class ProcessDied(Exception):
    """The process crashed or was killed, for example by the kernel because memory was short."""


class ProcessStuck(Exception):
    """The process made no progress for too long, and was killed."""


class ForkServer:
    """Starts the server on the first call, and again if it has died.

    The server calls `prepare(*args)` before its first fork, so that its processes share the loaded modules.
    """

    def __init__(self, prepare: Callable[[*Args], None], *args: *Args) -> None:
        self._prepare = (prepare, args)
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        atexit.register(self.close)

    def call(
        self,
        function: Callable[[Callable[[bool], None], *Args], Result],
        *args: *Args,
        progress_seconds: float,
        while_running: Callable[[], None],
    ) -> Result:
        """Call `function(report_progress, *args)` in a separate process, and return its result.

        The result must not be a bool, since bools report progress.
        After `report_progress(True)` the next report or the result must follow within `progress_seconds`.
        `report_progress(False)` lifts that limit. `while_running` is called several times a second; if it raises, the
        process is killed.
        Raise ProcessDied and ProcessStuck. When any exception is raised, the process has ended.
        """
        try:
            with self._fork() as connection:
                # A new server loads the libraries first.
                pid = _receive(connection, progress_seconds, while_running)
                with _kill_on_error(pid, connection):
                    connection.send((function, args))
                    return cast(Result, _receive(connection, progress_seconds, while_running))
        except (EOFError, ConnectionError) as error:
            raise ProcessDied from error

    @contextmanager
    def _fork(self) -> Iterator[Connection]:
        local, remote = socket.socketpair()
        with Connection(local.detach()) as connection:
            with self._lock, remote:
                socket.send_fds(self._server_socket(), [b"+"], [remote.fileno()])
            yield connection

    def _server_socket(self) -> socket.socket:
        if self._socket is None or self._server is None or self._server.poll() is not None:
            self.close()
            self._socket, remote = socket.socketpair()
            with remote:
                descriptor = remote.fileno()
                command = [sys.executable, "-m", "specstore_service.operations.fork_server", str(descriptor)]
                self._server = subprocess.Popen(command, pass_fds=[descriptor])
            with Connection(os.dup(self._socket.fileno())) as connection:
                connection.send(self._prepare)
        return self._socket

    def close(self) -> None:
        """Stop the server and all of its processes."""
        if self._socket and self._server:
            self._socket.close()
            self._server.wait()
            self._socket = None


@contextmanager
def _kill_on_error(pid: int, connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        # The connection is closed once the process has ended.
        with suppress(EOFError, ConnectionError):
            while connection.poll(_KILL_TIMEOUT_SECONDS):
                connection.recv_bytes()
        raise


def _receive(connection: Connection, progress_seconds: float, while_running: Callable[[], None]) -> Any:
    """Return the next message that does not report progress."""
    deadline = math.inf
    while True:
        if connection.poll(_POLL_SECONDS):
            message = connection.recv()
            if not isinstance(message, bool):
                return message
            deadline = time.monotonic() + progress_seconds if message else math.inf
        elif time.monotonic() > deadline:
            raise ProcessStuck
        while_running()
