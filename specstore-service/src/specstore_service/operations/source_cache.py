"""The data of a source as a local file. Each source is copied or fetched once per flow."""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from chassis.errors import NotFound
from chassis.runtime import logs
from specstore_service.clients import addresses, fetching
from specstore_service.clients.fetching import FetchError, Limits
from specstore_service.domain.sources import Source
from specstore_service.operations.pipeline_context import PipelineContext, PipelineFailed
from specstore_service.operations.row_batches import Batches, read_batches
from specstore_service.store import jobs
from specstore_service.store.jobs import Attempt
from specstore_service.store.objects import ObjectStore, file_key, scratch_file

log = logs.logger(__name__)

_RETRY_SECONDS = (1.0, 4.0)
_POLL_SECONDS = 0.5


@contextmanager
def source_rows(context: PipelineContext, source: Source) -> Iterator[Batches]:
    """Yield the rows in batches, the headers first. Raise PipelineFailed, also during iteration."""
    with (
        nullcontext() if source.rows is not None else source_file(context, source) as path,
        read_batches(source, path, context.settings.unpacked_bytes) as batches,
    ):
        yield batches


@contextmanager
def source_file(context: PipelineContext, source: Source) -> Iterator[Path]:
    """Yield the unchanged source, which is the same for all pipelines of the flow. Raise PipelineFailed."""
    try:
        key = _cached_key(context, source)
    except FetchError as error:
        raise PipelineFailed(f"{source.name}: {source.url or source.file} {error}") from None
    with context.objects.local_path(key) as path:
        yield path


def _cached_key(context: PipelineContext, source: Source) -> str:
    """Return the key of the cached copy. Fetch it, or wait for another pipeline that does. Raise FetchError."""
    location = hashlib.sha256(f"{source.url or ''}\n{source.file or ''}".encode()).hexdigest()
    attempt = context.task.attempt
    while True:
        with context.database.transaction() as tx:
            claim = jobs.claim_source(tx, attempt, location)
        if claim.object:
            return claim.object
        if claim.error:
            raise FetchError(claim.error)
        if claim.is_ours:
            if claim.replaced:
                # The replaced attempt may have died after storing its copy, before updating the source.
                context.objects.delete([_copy_key(context, location, claim.replaced)])
            _fetch_and_store(context, source, location)
        else:
            time.sleep(_POLL_SECONDS)


def _fetch_and_store(context: PipelineContext, source: Source, location: str) -> None:
    attempt = context.task.attempt
    key = _copy_key(context, location, attempt)
    error = None
    try:
        with scratch_file(context.objects) as path:
            _fetch(context, source, path)
            context.objects.put(key, path)
    except FetchError as problem:
        error = str(problem)
    with context.database.transaction() as tx:
        is_current = jobs.update_source(tx, attempt, location, object=None if error else key, error=error)
    if not is_current:
        context.objects.delete([key])


def _copy_key(context: PipelineContext, location: str, attempt: Attempt) -> str:
    return f"flows/{context.task.flow_id}/source-{location[:16]}.{attempt.position}-{attempt.number}"


def _fetch(context: PipelineContext, source: Source, path: Path) -> None:
    if source.url is None:
        _copy_upload(context.objects, file_key(context.task.owner, source.file or ""), path)
        return
    settings = context.settings
    limits = Limits(settings.source_bytes, settings.source_seconds, addresses.parse_networks(settings.source_networks))
    for retry_seconds in (*_RETRY_SECONDS, None):
        try:
            fetching.fetch(source.url, path, limits)
            return
        except FetchError as error:
            if retry_seconds is None or not error.is_temporary:
                raise
            log.info("source.fetch_failed", reason=str(error), retry_seconds=retry_seconds)
            time.sleep(retry_seconds)


def _copy_upload(objects: ObjectStore, key: str, path: Path) -> None:
    try:
        with objects.local_path(key) as uploaded:
            shutil.copyfile(uploaded, path)
    except NotFound:
        raise FetchError("was not uploaded") from None
