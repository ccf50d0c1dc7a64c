"""A disk in place of a volume, which can be full, or lose power: it then has only what was flushed to it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quintet_e2e.stacks import RunningStack

# Where programs that share their volume with no other have it. The disk of specstore-service has tests of its own.
FOLDERS = {"postgres": "/var/lib/postgresql/data", "rabbitmq": "/var/lib/rabbitmq"}
# More than the 200 MB below which RabbitMQ blocks publishers.
_FREE_BYTES = 512 * 1024 * 1024
# RabbitMQ loses messages if another program fills its disk completely (docs/guarantees.md, what is not guaranteed).
REMAINING_BYTES = {"rabbitmq": 100 * 1024 * 1024}
_BLOCK = b"\0" * 4096


class Disk:
    """A file system in an image file, mounted on a folder.

    The kernel keeps what programs write in memory until they request that it is flushed, or for some seconds. The image
    therefore has what a real disk has when the power fails.
    """

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder, self._image = folder, image
        self._filler = folder / "filler"

    def create(self, size_bytes: int) -> None:
        with self._image.open("wb") as image:
            image.truncate(size_bytes)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.folder))

    def unmount(self) -> None:
        _run("umount", str(self.folder))

    def fill(self, remaining_bytes: int = 0) -> None:
        """Leave this much space; with 0, programs that write receive ENOSPC."""
        status = os.statvfs(self.folder)
        free_bytes = status.f_bavail * status.f_frsize
        with self._filler.open("wb", buffering=0) as filler:
            if remaining_bytes:
                os.posix_fallocate(filler.fileno(), 0, free_bytes - remaining_bytes)
                return
            try:
                os.posix_fallocate(filler.fileno(), 0, free_bytes * 9 // 10)
                filler.seek(0, os.SEEK_END)
                while True:
                    filler.write(_BLOCK)
            except OSError:
                # The disk is full.
                return

    def free(self) -> None:
        self._filler.unlink()

    def copy_flushed(self) -> None:
        """Copy what is flushed at this moment. No program may write at the same time."""
        copy = self._image.with_suffix(".copy")
        while True:
            shutil.copyfile(self._image, copy)
            # The kernel may have flushed more in the meantime, which would mix two states.
            if subprocess.run(["cmp", "--silent", str(self._image), str(copy)]).returncode == 0:
                return

    def restore_flushed(self) -> None:
        """Replace the contents of the disk by the copy: the rest is lost."""
        self.unmount()
        self._image.with_suffix(".copy").replace(self._image)
        self.mount()


@contextmanager
def replaced_volume(stack: RunningStack, program: str) -> Iterator[Disk]:
    """Run the program with its data on a disk until the block ends, and then with this data on its volume again."""
    volume = stack.volume(program, FOLDERS[program])
    size = sum(file.stat().st_size for file in volume.rglob("*") if file.is_file() and not file.is_symlink())
    with tempfile.TemporaryDirectory(dir=stack.home, prefix="disk-") as folder:
        disk, copy = Disk(volume, Path(folder, "image")), Path(folder, "copy")
        stack.stop(program)
        _copy(volume, copy)
        disk.create(2 * size + _FREE_BYTES)
        try:
            _copy(copy, volume)
            # Else a loss of power would also lose what the program had flushed to its volume before.
            _run("sync", "--file-system", str(volume))
            stack.start(program)
            yield disk
        finally:
            stack.stop(program)
            _copy(volume, copy)
            disk.unmount()
            _copy(copy, volume)
            stack.start(program)


def _copy(source: Path, target: Path) -> None:
    """Replace the contents of a folder, which may be where a file system is mounted."""
    target.mkdir(exist_ok=True)
    for entry in target.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    _run("cp", "--archive", f"{source}/.", str(target))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
