"""The program from which processes are forked (processes.py). It has loaded the libraries that they need.

`python -m specstore_service.operations.fork_server <file descriptor of a socket to the worker>`
"""

import ctypes
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

_MAX_MEMORY_BYTES = 768 * 1024 * 1024
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


def serve(worker: socket.socket) -> None:
    """Prepare, then fork a process for each connection that the worker sends. Return when the worker has ended."""
    with Connection(os.dup(worker.fileno())) as connection:
        prepare, args = connection.recv()
    prepare(*args)
    # A signal to the process group is meant for the worker, which ends the processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # The kernel reaps the processes.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server_pid = os.getpid()
    while True:
        _, descriptors, _, _ = socket.recv_fds(worker, 1, 1)
        if not descriptors:
            return
        if os.fork() == 0:
            worker.close()
            _run(Connection(descriptors[0]), server_pid)
        os.close(descriptors[0])


def _run(connection: Connection, server_pid: int) -> None:
    try:
        _limit_process()
        if os.getppid() != server_pid:
            return  # The server ended before this process had registered to be killed with it.
        connection.send(os.getpid())
        function, args = connection.recv()
        connection.send(function(connection.send, *args))
    except (EOFError, ConnectionError):
        pass  # The worker has ended.
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)


def _limit_process() -> None:
    """Limit the memory. Make the kernel kill this process when the server ends, and first if memory runs out."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NAME, b"pipeline")
    resource.setrlimit(resource.RLIMIT_DATA, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
