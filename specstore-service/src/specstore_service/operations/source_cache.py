"""The data of a source as local files. Each file is copied or fetched once per flow."""

import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from chassis.errors import NotFound
from specstore_service.clients import addresses, fetching
from specstore_service.clients.fetching import FetchError, Limits
from specstore_service.domain.sources import FileLocation, Source
from specstore_service.operations.archives import unpacked
from specstore_service.operations.pipeline_context import PipelineContext, PipelineFailed
from specstore_service.operations.row_batches import Batches, read_batches
from specstore_service.store import jobs
from specstore_service.store.jobs import Attempt
from specstore_service.store.objects import ObjectStore, file_key, scratch_file

_POLL_SECONDS = 0.5
# All sources of a flow may be fetched for as long as this number of them, so that no flow occupies a worker for days.
_MAX_FETCH_SOURCES = 10


@contextmanager
def source_rows(context: PipelineContext, source: Source) -> Iterator[Batches]:
    """Yield the rows in batches, the headers first. Raise PipelineFailed, also during iteration."""
    with (
        table_files(context, source) as paths,
        read_batches(source, paths, context.settings.unpacked_bytes) as batches,
    ):
        yield batches


@contextmanager
def table_files(context: PipelineContext, source: Source) -> Iterator[list[Path] | None]:
    """Yield the unpacked files of the parts of a table, or None if its rows are inline. Raise PipelineFailed."""
    if source.rows is not None:
        yield None
        return
    with ExitStack() as stack:
        paths = stack.enter_context(source_files(context, source))
        if source.compression:
            unpacked_files = (unpacked(context, source, path) for path in paths)
            paths = _enter_within_limit(context, source, stack, unpacked_files)
        yield paths


@contextmanager
def source_files(context: PipelineContext, source: Source) -> Iterator[list[Path]]:
    """Yield the unchanged parts, which are the same for all pipelines of the flow. Raise PipelineFailed."""
    with ExitStack() as stack:
        parts = (cached_file(context, source.name, location) for location in source.parts)
        yield _enter_within_limit(context, source, stack, parts)


def _enter_within_limit(
    context: PipelineContext, source: Source, stack: ExitStack, files: Iterable[AbstractContextManager[Path]]
) -> list[Path]:
    """Return the files. They may have the same total size as a source that is one file."""
    paths, size = list[Path](), 0
    for file in files:
        paths.append(stack.enter_context(file))
        size += paths[-1].stat().st_size
        if size > context.settings.source_bytes:
            raise PipelineFailed(f"{source.name}: is larger than {context.settings.source_bytes} bytes")
    return paths


@contextmanager
def cached_file(
    context: PipelineContext, name: str, location: FileLocation, max_bytes: int | None = None
) -> Iterator[Path]:
    """Yield the file at a location to which the resource `name` refers. Raise PipelineFailed."""
    try:
        key = _cached_key(context, location, max_bytes or context.settings.source_bytes)
    except FetchError as error:
        raise PipelineFailed(f"{name}: {location} {error}") from None
    with context.objects.local_path(key) as path:
        yield path


def _cached_key(context: PipelineContext, location: FileLocation, max_bytes: int) -> str:
    """Return the key of the cached copy. Fetch it, or wait for another pipeline that does. Raise FetchError."""
    digest = hashlib.sha256(f"{location.url or ''}\n{location.file or ''}".encode()).hexdigest()
    attempt = context.task.attempt
    while True:
        with context.database.transaction() as tx:
            claim = jobs.claim_source(tx, attempt, digest)
        if claim.object:
            return claim.object
        if claim.error:
            raise FetchError(claim.error)
        if claim.is_ours:
            if claim.replaced:
                # The replaced attempt may have died after storing its copy, before updating the source.
                context.objects.delete([_copy_key(context, digest, claim.replaced)])
            _fetch_and_store(context, location, digest, max_bytes)
        else:
            time.sleep(_POLL_SECONDS)


def _fetch_and_store(context: PipelineContext, location: FileLocation, digest: str, max_bytes: int) -> None:
    attempt = context.task.attempt
    key = _copy_key(context, digest, attempt)
    error = None
    try:
        with scratch_file(context.objects) as path:
            _fetch(context, location, path, max_bytes)
            context.objects.put(key, path)
    except FetchError as problem:
        error = str(problem)
    with context.database.transaction() as tx:
        is_current = jobs.update_source(tx, attempt, digest, object=None if error else key, error=error)
    if not is_current:
        context.objects.delete([key])


def _copy_key(context: PipelineContext, digest: str, attempt: Attempt) -> str:
    return f"flows/{context.task.flow_id}/source-{digest[:16]}.{attempt.position}-{attempt.number}"


def _fetch(context: PipelineContext, location: FileLocation, path: Path, max_bytes: int) -> None:
    if location.url is None:
        _copy_upload(context.objects, file_key(context.task.owner, location.file or ""), path)
        return
    settings = context.settings
    limits = Limits(max_bytes, settings.source_seconds, addresses.parse_networks(settings.source_networks))
    with _counted_seconds(context):
        fetching.fetch(location.url, path, limits)


@contextmanager
def _counted_seconds(context: PipelineContext) -> Iterator[None]:
    """Add the duration to the total of the flow. Raise FetchError if the limit was reached before."""
    flow, max_seconds = context.task.attempt.flow, _MAX_FETCH_SOURCES * context.settings.source_seconds
    with context.database.transaction() as tx:
        total_seconds = jobs.get_fetch_seconds(tx, flow)
    if total_seconds >= max_seconds:
        raise FetchError(f"was not fetched: fetching all sources of a flow must take at most {max_seconds:g} s")
    start = time.monotonic()
    try:
        yield
    finally:
        with context.database.transaction() as tx:
            jobs.add_fetch_seconds(tx, flow, time.monotonic() - start)


def _copy_upload(objects: ObjectStore, key: str, path: Path) -> None:
    try:
        with objects.local_path(key) as uploaded:
            shutil.copyfile(uploaded, path)
    except NotFound:
        raise FetchError("was not uploaded") from None
