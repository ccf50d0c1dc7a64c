"""The lock of a stack: commands that change the same one run one after the other."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from quintet_local.progress import say

NAME = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder that .env is in, which both ways to run share.

    The holder may remove the file, or the whole folder, as its last step: whoever waited then makes both anew.
    """
    lock = _open(folder)
    try:
        _wait_for(lock)
        while not _is_still_there(folder / NAME, lock):
            os.close(lock)
            lock = _open(folder)
            _wait_for(lock)
        yield
    finally:
        os.close(lock)


def is_held(file: Path) -> bool:
    """Tell whether any process holds a lock on the file."""
    with open(file, "a") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _open(folder: Path) -> int:
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A holder may remove the folder between these two lines.
        with suppress(FileNotFoundError):
            return os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o600)


def _wait_for(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another command is changing this stack: waiting until it has ended")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _is_still_there(file: Path, lock: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(file.stat(), os.fstat(lock))
    return False
