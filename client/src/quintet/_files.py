"""Files that are sent: opened again for each attempt, and read in chunks."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Union, cast

from quintet.errors import QuintetError
from quintet.models import TransferProgress

CHUNK_BYTES = 64 * 1024
_MAX_MEMORY_BYTES = 1024 * 1024

# A path, or a file that was opened in binary mode.
FileSource = Union[str, "os.PathLike[str]", BinaryIO]
OnTransfer = Callable[[TransferProgress], object]


class UploadSource:
    """The content of an upload, which can be read again from its beginning for each attempt."""

    def __init__(self, file: IO[bytes], size: int, name: str | None, on_progress: OnTransfer | None) -> None:
        self._file, self._start, self.size, self.name = file, file.tell(), size, name
        self._on_progress = on_progress

    def chunks(self) -> Iterator[bytes]:
        """Yield the content from its beginning, exactly `size` bytes even if the file grows in the meantime."""
        self._file.seek(self._start)
        sent = 0
        self._report(sent)
        while sent < self.size and (chunk := self._file.read(min(CHUNK_BYTES, self.size - sent))):
            yield chunk
            sent += len(chunk)
            self._report(sent)
        if sent < self.size:
            raise QuintetError(f"the file became shorter while it was sent: {sent} of {self.size} bytes are left")

    def _report(self, sent: int) -> None:
        if self._on_progress:
            self._on_progress(TransferProgress(sent, self.size))


@contextlib.contextmanager
def open_upload(source: FileSource, on_progress: OnTransfer | None = None) -> Iterator[UploadSource]:
    """Open a path, or use an open binary file from its current position.

    A file that cannot be read twice, such as a pipe, is first copied to a temporary file, because an attempt may fail.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, (str, os.PathLike)):
            path = Path(source)
            file: IO[bytes] = stack.enter_context(path.open("rb"))
            name: str | None = _plain(path.name)
        else:
            _require_binary(source)
            file = source
            name = _name_of(source)
        if not file.seekable():
            copy = cast(IO[bytes], stack.enter_context(tempfile.SpooledTemporaryFile(_MAX_MEMORY_BYTES)))
            shutil.copyfileobj(file, copy, CHUNK_BYTES)
            copy.seek(0)
            file = copy
        start = file.tell()
        size = file.seek(0, os.SEEK_END) - start
        file.seek(start)
        yield UploadSource(file, size, name, on_progress)


def _name_of(file: object) -> str | None:
    """Return the name of an open file; None if it has none, or is not named, like `<stdin>`."""
    name = getattr(file, "name", None)
    return _plain(Path(name).name) if isinstance(name, str) and not name.startswith("<") else None


def _plain(name: str) -> str:
    """Return a name that can be sent: one that is not UTF-8 contains surrogates."""
    return name.encode("utf-8", "replace").decode()


def _require_binary(source: object) -> None:
    if isinstance(source, io.TextIOBase) or not hasattr(source, "read"):
        raise TypeError("the file must be a path, or a file that was opened in binary mode")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Yield a temporary file that replaces `path` at the end of the block; without the end, `path` is unchanged.

    A symbolic link is kept, its target is replaced. A pipe or a device, such as `/dev/stdout`, receives the content.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{os.fspath(path)} must be the path of a file, not of a folder")
    if Path(path).exists() and not Path(path).is_file():
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            with open(path, "wb") as device:
                shutil.copyfileobj(file, device, CHUNK_BYTES)
        return
    target = Path(os.path.realpath(path))
    # Another thread or process may download the same file.
    temporary = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with temporary.open("x+b") as file:
            yield file
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def file_in(folder: Path, name: str) -> Path:
    """Return the path of the file that a server named; raise QuintetError if it would not be in the folder."""
    if name in ("", ".", "..") or Path(name).name != name or "\0" in name:
        raise QuintetError(f"the name of a file must not lead out of its folder: {name!r}")
    return folder / name
