"""Compressed sources, unpacked to a scratch file of a limited size."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from specstore_service.clients.fetching import FetchError, gunzip
from specstore_service.domain.sources import Source
from specstore_service.operations.limits import Unreadable, translate_archive_errors
from specstore_service.operations.pipeline_context import PipelineContext, PipelineFailed
from specstore_service.store.objects import scratch_file

_CHUNK_BYTES = 256 * 1024
_MAX_MEMBERS = 10_000


@contextmanager
def unpacked(context: PipelineContext, source: Source, path: Path) -> Iterator[Path]:
    """Yield a file that contains the unpacked data. Raise PipelineFailed."""
    with scratch_file(context.objects) as target:
        try:
            with path.open("rb") as file, target.open("wb") as output:
                chunks = _zip_chunks(file, source.innerpath) if source.compression == "zip" else gunzip(_chunks(file))
                _write(chunks, output, context.settings.source_bytes)
        except (FetchError, Unreadable) as error:
            raise PipelineFailed(f"{source.name}: {error}") from None
        yield target


def _write(chunks: Iterator[bytes], output: IO[bytes], max_bytes: int) -> None:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise Unreadable(f"is larger than {max_bytes} bytes when unpacked")
        output.write(chunk)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(_CHUNK_BYTES), b"")


def _zip_chunks(file: IO[bytes], innerpath: str | None) -> Iterator[bytes]:
    with (
        translate_archive_errors("is not a valid zip archive"),
        zipfile.ZipFile(file) as archive,
        archive.open(_member(archive, innerpath)) as content,
    ):
        yield from _chunks(content)


def _member(archive: zipfile.ZipFile, innerpath: str | None) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > _MAX_MEMBERS:
        raise Unreadable(f"has more than {_MAX_MEMBERS} files")
    if innerpath is not None:
        member = next((member for member in members if member.filename == innerpath), None)
        if member is None:
            raise Unreadable(f"does not contain the file {innerpath}")
        return member
    if len(members) != 1:
        raise Unreadable(f"contains {len(members)} files: it must contain one, or innerpath must name one")
    return members[0]
