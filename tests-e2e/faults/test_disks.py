"""The disk of the harness loses what was not flushed, and nothing else; else it could not show a loss of data."""

import os
import subprocess

import pytest

from quintet_faults.disks import Disk

MEBIBYTE = 1024 * 1024

pytestmark = pytest.mark.fault


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = Disk(folder, tmp_path / "image")
    try:
        disk.create(32 * MEBIBYTE)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"cannot mount a disk: {getattr(error, 'stderr', None) or error}")
    yield disk
    disk.unmount()


def write(path, content, *, is_flushed):
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        if is_flushed:
            os.fsync(file.fileno())


def test_only_what_was_flushed_survives_a_power_loss(disk):
    write(disk.folder / "flushed", b"kept", is_flushed=True)
    write(disk.folder / "written", b"lost", is_flushed=False)
    disk.copy_flushed()
    disk.restore_flushed()
    assert (disk.folder / "flushed").read_bytes() == b"kept"
    # The kernel may have flushed the name of the file, but not its content.
    written = disk.folder / "written"
    assert not written.exists() or written.read_bytes() == b""


def test_full_disk_rejects_writes_until_it_has_space(disk):
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        write(disk.folder / "file", b"\0" * MEBIBYTE, is_flushed=True)
    disk.free()
    write(disk.folder / "file", b"\0" * MEBIBYTE, is_flushed=True)
