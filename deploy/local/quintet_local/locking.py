"""The lock of a stack: commands that change the same stack run one after another."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from quintet_local.progress import log_progress

NAME = ".lock"


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold the lock in the folder of .env, which both deployment modes share.

    The holder may remove the file, or the whole folder, as its last step; a waiting process then creates both again.
    """
    lock = _open(folder)
    try:
        _acquire(lock)
        while not _is_current(folder / NAME, lock):
            os.close(lock)
            lock = _open(folder)
            _acquire(lock)
        yield
    finally:
        os.close(lock)


def is_held(file: Path) -> bool:
    """Return whether any process holds a lock on the file."""
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


def _acquire(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log_progress("another command is changing this stack: waiting until it ends")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _is_current(file: Path, lock: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(file.stat(), os.fstat(lock))
    return False
