"""Programs of a stack whose supervisor was killed.

The kernel sends each of them a signal when the supervisor dies (supervise.py), so they end by themselves. They and
their child processes inherit a lock on a file of the stack, which is held until the last of them has ended.
"""

from contextlib import suppress
from pathlib import Path

import psutil

from quintet_local import locking
from quintet_local.progress import StackError, log_progress, wait_until

MAX_SHUTDOWN_SECONDS = 20


def wait_for_end(lock: Path) -> None:
    """Wait until no program of the stack is alive; kill those that do not end in time."""
    try:
        _wait(lock)
    except StackError:
        remaining = lock_holders(lock)
        log_progress(f"killing {', '.join(sorted({process.info['name'] for process in remaining}))}")
        # The oldest is killed first: a supervisor that is alive but unreachable would restart the others.
        for process in remaining:
            kill(process)
        _wait(lock)


def lock_holders(lock: Path, name: str = "") -> list[psutil.Process]:
    """Return the processes that hold the lock, oldest first; if `name` is set, only those with that name."""
    processes = [
        process for process in psutil.process_iter(["name", "create_time"]) if name in ("", process.info["name"])
    ]
    holders = [process for process in processes if _has_open(process, lock)]
    return sorted(holders, key=lambda process: process.info["create_time"])


def kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def _wait(lock: Path) -> None:
    wait_until("programs without a supervisor: ended", lambda: not locking.is_held(lock), MAX_SHUTDOWN_SECONDS)


def _has_open(process: psutil.Process, file: Path) -> bool:
    try:
        return any(opened.path == str(file) for opened in process.open_files())
    except psutil.Error:
        return False
