"""Files that all replicas share: whole or not there at all."""

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from chassis.errors import NotFound, Unavailable
from chassis.runtime import logs

log = logs.logger(__name__)

CHUNK_BYTES = 256 * 1024
_ABANDONED_SECONDS = 24 * 3600


class ObjectStore(Protocol):
    """Keys are paths without `.` and `..`. All raise Unavailable where the store is full or does not answer."""

    # A folder of this machine for what is being written.
    scratch: Path

    def put(self, key: str, file: Path) -> None:
        """From the scratch folder, in one step, in place of what was there; kept once this returns."""

    def local_path(self, key: str) -> AbstractContextManager[Path]:
        """As a file to read from. Raises NotFound."""
        ...

    def read_range(self, key: str, start: int, length: int) -> "ChunkIterator":
        """From there on, so many bytes. Raises NotFound."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """What is not there is gone already."""

    def list_sizes(self, folder: str) -> dict[str, int]:
        """In bytes, of what lies right in it, by key."""
        ...


class FolderStore:
    """A volume that all of them see."""

    def __init__(self, folder: Path, scratch: Path | None = None) -> None:
        self._objects, self.scratch = folder / "objects", scratch or folder / "scratch"

    def put(self, key: str, file: Path) -> None:
        with translate_storage_errors():
            run_in_thread(self._put, self._objects / key, file)

    def _put(self, target: Path, file: Path) -> None:
        new = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(file)
        file.replace(target)
        # The file's name, and those of folders that have just come into being.
        for folder in {target.parent, *(folder.parent for folder in new)}:
            _sync(folder)

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        path = self._objects / key
        if not path.is_file():
            raise NotFound("there is no such file")
        yield path

    def read_range(self, key: str, start: int, length: int) -> "ChunkIterator":
        with translate_storage_errors():
            try:
                file = (self._objects / key).open("rb", buffering=0)
            except FileNotFoundError:
                raise NotFound("there is no such file") from None
            file.seek(start)
        return ChunkIterator(file, length, lambda size: run_in_thread(file.read, size))

    def delete(self, keys: Iterable[str]) -> None:
        with translate_storage_errors():
            for key in keys:
                (self._objects / key).unlink(missing_ok=True)

    def list_sizes(self, folder: str) -> dict[str, int]:
        with translate_storage_errors():
            return run_in_thread(self._sizes, folder)

    def _sizes(self, folder: str) -> dict[str, int]:
        try:
            with os.scandir(self._objects / folder) as entries:
                return {f"{folder}/{entry.name}": entry.stat().st_size for entry in entries}
        except FileNotFoundError:
            return {}


def file_key(owner: str, path: str) -> str:
    """Of an uploaded file. A digest leads nowhere else, is never too long, and is no folder of another one."""
    return f"{_files(owner)}/{hashlib.sha256(path.encode()).hexdigest()}"


def _files(owner: str) -> str:
    return f"files/{owner}"


def remaining_bytes(objects: ObjectStore, owner: str, path: str, max_bytes: int) -> int:
    """Return the size that a file of this path may have; it takes the place of an older one."""
    sizes = objects.list_sizes(_files(owner))
    sizes.pop(file_key(owner, path), None)
    return max_bytes - sum(sizes.values())


class ChunkIterator:
    """Of what is open already; closed with this, read or not."""

    def __init__(self, source: Any, length: int, read: Callable[[int], bytes] | None = None) -> None:
        self._source, self._left, self._read = source, length, read or source.read

    def __iter__(self) -> "ChunkIterator":
        return self

    def __next__(self) -> bytes:
        piece = self._read(min(CHUNK_BYTES, self._left)) if self._left else b""
        self._left -= len(piece)
        if not (piece and self._left):
            self.close()
        if not piece:
            raise StopIteration
        return piece

    def close(self) -> None:
        self._source.close()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def run_in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    """Where greenlets share one thread, a disk that takes its time must not hold up all of them."""
    patched = sys.modules.get("gevent.monkey")
    if patched is None or not patched.is_module_patched("socket"):
        return call(*arguments)
    import gevent

    return gevent.get_hub().threadpool.apply(call, arguments)


@contextmanager
def translate_storage_errors() -> Iterator[None]:
    """Full, read-only, away: what waits for it may be tried again later."""
    try:
        yield
    except OSError as error:
        raise Unavailable("files cannot be kept at the moment") from error


@contextmanager
def scratch_file(objects: ObjectStore, suffix: str = "") -> Iterator[Path]:
    """Gone when the block ends, unless it was put elsewhere."""
    with translate_storage_errors():
        objects.scratch.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=objects.scratch, suffix=suffix)
        os.close(descriptor)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def delete_abandoned_files(objects: ObjectStore) -> None:
    """What processes that were killed left behind. Nobody writes to a file for a day without a pause."""
    if not objects.scratch.is_dir():
        return
    for path in objects.scratch.iterdir():
        try:
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                log.info("objects.swept", file=path.name)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except FileNotFoundError:
            pass  # another worker was quicker
