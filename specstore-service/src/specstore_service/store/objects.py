"""The object store, which all replicas share: an object is either complete or does not exist."""

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar, cast

from chassis.errors import NotFound, Unavailable
from chassis.runtime import logs

log = logs.logger(__name__)

CHUNK_BYTES = 256 * 1024
_ABANDONED_SECONDS = 24 * 3600

Params = ParamSpec("Params")
Result = TypeVar("Result")


class ObjectStore(Protocol):
    """Keys are paths without `.` and `..`. All methods raise Unavailable if the store is full or unreachable."""

    # A local folder for files that are being written.
    scratch: Path

    def put(self, key: str, file: Path) -> None:
        """Move a file of the scratch folder into the store, replacing an older object atomically and durably."""

    def local_path(self, key: str) -> AbstractContextManager[Path]:
        """Yield the path of a local file with the contents of the object. Raise NotFound."""
        ...

    def read_range(self, key: str, start: int, length: int) -> "ChunkIterator":
        """Return `length` bytes of the object from `start` on. Raise NotFound."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects. Objects that do not exist are ignored."""

    def list_sizes(self, folder: str) -> dict[str, int]:
        """Return the sizes in bytes of the objects directly in a folder, by key."""
        ...


class FolderStore:
    """Objects in a folder of a volume that all replicas mount."""

    def __init__(self, folder: Path, scratch: Path | None = None) -> None:
        self._objects, self.scratch = folder / "objects", scratch or folder / "scratch"

    def put(self, key: str, file: Path) -> None:
        with translate_storage_errors():
            run_in_thread(self._put, self._objects / key, file)

    def _put(self, target: Path, file: Path) -> None:
        new_folders = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(file)
        file.replace(target)
        # The directory entries of the file and of new folders must be durable, too.
        for folder in {target.parent, *(folder.parent for folder in new_folders)}:
            _sync(folder)

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        path = self._objects / key
        if not path.is_file():
            raise NotFound("file not found")
        yield path

    def read_range(self, key: str, start: int, length: int) -> "ChunkIterator":
        with translate_storage_errors():
            try:
                file = (self._objects / key).open("rb", buffering=0)
            except FileNotFoundError:
                raise NotFound("file not found") from None
            file.seek(start)
        return ChunkIterator(file, length, lambda size: run_in_thread(file.read, size))

    def delete(self, keys: Iterable[str]) -> None:
        with translate_storage_errors():
            for key in keys:
                (self._objects / key).unlink(missing_ok=True)

    def list_sizes(self, folder: str) -> dict[str, int]:
        with translate_storage_errors():
            return run_in_thread(self._list_sizes, folder)

    def _list_sizes(self, folder: str) -> dict[str, int]:
        try:
            with os.scandir(self._objects / folder) as entries:
                return {f"{folder}/{entry.name}": entry.stat().st_size for entry in entries}
        except FileNotFoundError:
            return {}


def file_key(owner: str, path: str) -> str:
    """Return the key of an uploaded file.

    It contains a digest of the path, which is never too long and cannot lead to another folder.
    """
    return f"{_files_folder(owner)}/{hashlib.sha256(path.encode()).hexdigest()}"


def _files_folder(owner: str) -> str:
    return f"files/{owner}"


def remaining_bytes(objects: ObjectStore, owner: str, path: str, max_bytes: int) -> int:
    """Return the maximum size of a file that the owner uploads to this path, replacing an older one."""
    sizes = objects.list_sizes(_files_folder(owner))
    sizes.pop(file_key(owner, path), None)
    return max_bytes - sum(sizes.values())


class ByteSource(Protocol):
    def read(self, size: int, /) -> bytes | None: ...

    def close(self) -> None: ...


class ChunkIterator:
    """Iterates over the bytes of an open file, and closes it at the end or when `close` is called."""

    def __init__(self, source: ByteSource, length: int, read: Callable[[int], bytes | None] | None = None) -> None:
        self._source, self._remaining_bytes, self._read = source, length, read or source.read

    def __iter__(self) -> "ChunkIterator":
        return self

    def __next__(self) -> bytes:
        chunk = self._read(min(CHUNK_BYTES, self._remaining_bytes)) if self._remaining_bytes else b""
        chunk = chunk or b""
        self._remaining_bytes -= len(chunk)
        if not (chunk and self._remaining_bytes):
            self.close()
        if not chunk:
            raise StopIteration
        return chunk

    def close(self) -> None:
        self._source.close()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def run_in_thread(function: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs) -> Result:
    """Call a function in gevent's thread pool, so that a slow disk does not block the other greenlets.

    Without gevent, call it directly.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("socket"):
        return function(*args, **kwargs)
    import gevent

    return cast(Result, gevent.get_hub().threadpool.apply(function, args, kwargs))


@contextmanager
def translate_storage_errors() -> Iterator[None]:
    """Translate errors of the file system (full, read-only, unreachable) to Unavailable."""
    try:
        yield
    except OSError as error:
        raise Unavailable("files cannot be stored at the moment") from error


@contextmanager
def scratch_file(objects: ObjectStore, suffix: str = "") -> Iterator[Path]:
    """Yield a new file, which is deleted at the end unless it has been moved."""
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
    """Delete scratch files of killed processes: those that have not been written to for a day."""
    if not objects.scratch.is_dir():
        return
    for path in objects.scratch.iterdir():
        try:
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                log.info("scratch.abandoned_deleted", file=path.name)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except FileNotFoundError:
            pass  # Another worker has deleted it.
