"""What holds the other files together: the zip, and the descriptor of the data package."""

import io
import zipfile
from pathlib import Path
from typing import Any, Protocol

from chassis import strictjson
from specstore_service.domain import files
from specstore_service.domain.files import Packed
from specstore_service.domain.plans import CSV, JSON
from specstore_service.operations.making import Made, Work
from specstore_service.store.jobs import Result

# The same content gives the same file.
_NO_DATE = (1980, 1, 1, 0, 0, 0)
_PIECE_BYTES = 1024 * 1024


class Writes(Protocol):
    def write(self, data: bytes, /) -> object: ...


def make_copy(work: Work) -> Made:
    """The source as it came."""
    source = work.source
    with work.sink() as sink:
        if source.rows is not None:
            sink.write(strictjson.dumps(source.rows).encode())
        else:
            with work.copy(source) as path:
                _copy(work, path, sink)
    return work.made(sink)


def _copy(work: Work, path: Path, target: Writes) -> None:
    with path.open("rb", buffering=0) as given:
        while piece := given.read(_PIECE_BYTES):
            work.place.lease.check()
            target.write(piece)


def make_zip(work: Work) -> Made:
    """The csv and json files, and a descriptor: a data package of its own."""
    wanted = [it for it in work.results if work.kinds[it.position][0] in (CSV, JSON)]
    descriptor = _descriptor(work, wanted)
    with work.sink() as sink, io.BufferedWriter(sink, _PIECE_BYTES) as packed, zipfile.ZipFile(packed, "w") as archive:
        for result in wanted:
            with work.place.objects.local(result.object) as path, archive.open(_member(result), "w") as member:
                _copy(work, path, member)
        archive.writestr(zipfile.ZipInfo(files.DESCRIPTOR, _NO_DATE), strictjson.dumps(descriptor))
    return work.made(sink)


def _member(result: Result) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(result.path, _NO_DATE)
    info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, result.bytes
    return info


def make_package(work: Work) -> Made:
    """Made last: whoever sees it finds all that it names."""
    descriptor = _descriptor(work, work.results)
    with work.sink() as sink:
        sink.write(strictjson.dumps(descriptor).encode())
    rows = descriptor["count_of_rows"]
    totals = {"bytes": descriptor["bytes"], "count_of_rows": rows, "dataset_name": work.spec.meta.dataset}
    return work.made(sink, stats=totals)


def _descriptor(work: Work, results: list[Result]) -> dict[str, Any]:
    packed = [Packed(*work.kinds[it.position], it.path, it.bytes, it.hash, it.rows) for it in results]
    return files.package(work.spec.meta.dataset, work.sources, packed)
