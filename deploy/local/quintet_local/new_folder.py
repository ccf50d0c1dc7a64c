"""A new folder that appears when it is complete and on disk, and that only the current user can read."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quintet_local.progress import StackError


@contextmanager
def create(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, which becomes `folder` at the end of the block; remove it if the block fails.

    Raise a StackError if the folder exists, or if it or a file in it cannot be written.
    """
    if folder.exists():
        raise StackError(f"{folder} must not exist: choose a new folder")
    # A name that no backup has: what a killed command left there is removed.
    new = folder.with_name(f".{folder.name}.incomplete")
    umask = os.umask(0o077)  # The files stay private when they are copied elsewhere.
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        yield new
        for path in (*new.rglob("*"), new):
            _write_to_disk(path)
        new.rename(folder)
    except OSError as error:
        raise StackError(f"{folder} could not be written: {error}") from None
    finally:
        os.umask(umask)
        # After a failure, for instance of a full disk, the space is needed.
        shutil.rmtree(new, ignore_errors=True)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file by its relative path."""
    return {str(file.relative_to(folder)): digest(file) for file in sorted(folder.rglob("*")) if file.is_file()}


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _write_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
