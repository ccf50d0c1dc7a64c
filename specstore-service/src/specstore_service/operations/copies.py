"""The data of a source as a file of this machine: from the store, or fetched once for the whole flow."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chassis.db import Database
from chassis.errors import NotFound
from chassis.runtime import logs
from specstore_service.clients import addresses, fetching
from specstore_service.clients.fetching import Cable, Limits, Unfetchable
from specstore_service.domain.sources import Source
from specstore_service.operations.leases import Lease
from specstore_service.settings import Settings
from specstore_service.store import jobs
from specstore_service.store.jobs import Attempt
from specstore_service.store.objects import Objects, scratch_file, told_as_problems

log = logs.logger(__name__)

_PAUSES = (1.0, 4.0)
_LOOK_SECONDS = 0.5


class Failed(Exception):
    """The pipeline cannot succeed; why, in words for the owner of the spec."""

    def __init__(self, *errors: str) -> None:
        super().__init__(*errors)
        self.errors = list(errors)


@dataclass(frozen=True)
class Place:
    """Where copies are kept, and by whom they are made."""

    database: Database
    objects: Objects
    settings: Settings
    owner: str
    flow_id: str
    attempt: Attempt
    lease: Lease


def file_key(owner: str, path: str) -> str:
    """Of an uploaded file. A digest leads nowhere else, is never too long, and is no folder of another one."""
    return f"{_files(owner)}/{hashlib.sha256(path.encode()).hexdigest()}"


def _files(owner: str) -> str:
    return f"files/{owner}"


def bytes_left(objects: Objects, owner: str, path: str, most_bytes: int) -> int:
    """For a file of that name, whose place it would take."""
    sizes = objects.sizes(_files(owner))
    sizes.pop(file_key(owner, path), None)
    return most_bytes - sum(sizes.values())


@contextmanager
def copy_of(place: Place, source: Source) -> Iterator[Path]:
    """What all pipelines of the flow see of it. Raises Failed."""
    try:
        key = _fetched(place, source)
    except Unfetchable as problem:
        raise Failed(f"{source.name}: {source.url or source.file} {problem}") from None
    with place.objects.local(key) as path:
        yield path


def _fetched(place: Place, source: Source) -> str:
    """The copy's key: made here, or waited for where another pipeline is about it. Raises Unfetchable."""
    location = hashlib.sha256(f"{source.url or ''}\n{source.file or ''}".encode()).hexdigest()
    while True:
        with place.database.transaction() as tx:
            claim = jobs.claim_source(tx, place.attempt, location)
        if claim.object:
            return claim.object
        if claim.error:
            raise Unfetchable(claim.error)
        if claim.is_ours:
            if claim.replaced:
                # It may have died when all was fetched and nobody knew of it.
                place.objects.delete([_key(place, location, claim.replaced)])
            _fetch(place, source, location)
        else:
            place.lease.pause(_LOOK_SECONDS)


def _fetch(place: Place, source: Source, location: str) -> None:
    key = _key(place, location, place.attempt)
    error = None
    try:
        with scratch_file(place.objects) as path:
            _get(place, source, path)
            place.lease.check()
            place.objects.put(key, path)
    except Unfetchable as problem:
        error = str(problem)
    with place.database.transaction() as tx:
        is_taken = jobs.settle_source(tx, place.attempt, location, object=None if error else key, error=error)
    if not is_taken:
        place.objects.delete([key])


def _key(place: Place, location: str, attempt: Attempt) -> str:
    return f"flows/{place.flow_id}/source-{location[:16]}.{attempt.position}-{attempt.number}"


def _get(place: Place, source: Source, path: Path) -> None:
    if source.file is not None:
        try:
            with place.objects.local(file_key(place.owner, source.file)) as uploaded, told_as_problems():
                _copy(place, uploaded, path)
        except NotFound:
            raise Unfetchable("was not uploaded") from None
        return
    settings = place.settings
    limits = Limits(settings.source_bytes, settings.source_seconds, addresses.networks(settings.source_networks))
    for pause in (*_PAUSES, None):
        cable = Cable()
        try:
            with place.lease.telling(cable.cut):
                fetching.fetch(source.url or "", path, limits, cable)
            return
        except Unfetchable as problem:
            place.lease.check()
            if pause is None or not problem.may_pass:
                raise
            log.info("source.fetched_again", reason=str(problem), pause_seconds=pause)
            place.lease.pause(pause)


def _copy(place: Place, source: Path, target: Path) -> None:
    with source.open("rb") as given, target.open("wb") as taken:
        while piece := given.read(1024 * 1024):
            place.lease.check()
            taken.write(piece)
