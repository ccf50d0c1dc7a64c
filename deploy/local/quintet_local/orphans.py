"""The programs of a stack whose supervisor was killed.

The kernel sends each of them a signal at that moment (supervise.py), so they end by themselves. As long as one of
them, or a process that it started, is alive, a lock on a file of the stack is held, which they inherit.
"""

from contextlib import suppress
from pathlib import Path

import psutil

from quintet_local import locking
from quintet_local.progress import StackError, say, wait_until

ENDS_WITHIN_SECONDS = 20


def wait_for_end(lock: Path) -> None:
    """Return when no program of the stack is alive; kill those that have not ended in time."""
    try:
        _wait(lock)
    except StackError:
        left = holders(lock)
        say(f"killing what is left: {', '.join(sorted({process.info['name'] for process in left}))}")
        # The supervisor first, if it was only out of reach: it would start the others again.
        for process in left:
            kill(process)
        _wait(lock)


def holders(lock: Path, name: str = "") -> list[psutil.Process]:
    """Return the processes that hold it, the oldest first; only those of that name if there is one."""
    processes = [each for each in psutil.process_iter(["name", "create_time"]) if name in ("", each.info["name"])]
    found = [process for process in processes if _has_open(process, lock)]
    return sorted(found, key=lambda process: process.info["create_time"])


def kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def _wait(lock: Path) -> None:
    wait_until("end of programs without their supervisor", lambda: not locking.is_held(lock), ENDS_WITHIN_SECONDS)


def _has_open(process: psutil.Process, file: Path) -> bool:
    try:
        return any(opened.path == str(file) for opened in process.open_files())
    except psutil.Error:
        return False
