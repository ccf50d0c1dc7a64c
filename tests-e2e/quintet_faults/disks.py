"""A small disk in place of a volume, which can be filled without affecting the machine."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quintet_e2e.stacks import RunningStack

# The folder of each program in its container that a full disk affects.
FOLDERS = {"postgres": "/var/lib/postgresql/data", "rabbitmq": "/var/lib/rabbitmq", "specstore-worker": "/data"}
_FREE_BYTES = 64 * 1024 * 1024
_BLOCK = b"\0" * 1024 * 1024


class SmallDisk:
    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(_BLOCK)
            except OSError:
                # The disk is full.
                return

    def free(self) -> None:
        self._filler.unlink()


@contextmanager
def small_disk(stack: RunningStack, program: str) -> Iterator[SmallDisk]:
    """Run the program with its data on a small disk until the block ends, and then with this data on its volume."""
    volume = stack.volume(program, FOLDERS[program])
    size = sum(file.stat().st_size for file in volume.rglob("*") if file.is_file() and not file.is_symlink())
    stack.stop(program)
    copy = volume.with_name("_copy")
    _copy(volume, copy)
    options = f"size={size + _FREE_BYTES},mode={volume.stat().st_mode & 0o777:o}"
    _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(volume))
    try:
        _copy(copy, volume)
        shutil.rmtree(copy)
        stack.start(program)
        try:
            yield SmallDisk(volume)
        finally:
            stack.stop(program)
            _copy(volume, copy)
    finally:
        _run("umount", str(volume))
    _copy(copy, volume)
    shutil.rmtree(copy)
    stack.start(program)


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for entry in target.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else os.unlink(entry)
    _run("cp", "--archive", f"{source}/.", str(target))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
