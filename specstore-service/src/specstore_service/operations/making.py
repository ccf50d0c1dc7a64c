"""What the making of a file has at hand, whichever kind of pipeline makes it."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specstore_service.domain.plans import CSV
from specstore_service.domain.sources import Source
from specstore_service.domain.specs import Spec
from specstore_service.operations import reading
from specstore_service.operations.copies import Place, copy_of
from specstore_service.operations.reading import Batches
from specstore_service.store.jobs import Result
from specstore_service.store.objects import scratch_file


@dataclass(frozen=True)
class Made:
    """A file in the scratch folder, and what is said of it. With errors the pipeline has failed all the same."""

    file: Path
    bytes: int
    hash: str
    rows: int | None = None
    errors: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)


class Sink(io.RawIOBase):
    """Writes a file, and knows its size and its hash at the end."""

    def __init__(self, file: Path) -> None:
        self.path, self.size = file, 0
        self._digest = hashlib.sha256()
        self._file = file.open("wb", buffering=0)

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        view = memoryview(piece)
        while view:
            written = self._file.write(view)
            self._digest.update(view[:written])
            self.size += written
            view = view[written:]
        return memoryview(piece).nbytes

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    @property
    def hash(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"


@dataclass(frozen=True)
class Work:
    """One attempt at one pipeline. `files` closes what was opened for it when the attempt is over."""

    spec: Spec
    sources: list[Source]
    pipeline: str
    kind: str
    target: str
    results: list[Result]
    kinds: list[tuple[str, str]]
    place: Place
    files: ExitStack

    @property
    def source(self) -> Source:
        return next(source for source in self.sources if source.name == self.target)

    @contextmanager
    def sink(self) -> Iterator[Sink]:
        """Its file stays until the attempt is over."""
        sink = Sink(self.scratch())
        try:
            yield sink
        finally:
            sink.close()

    def scratch(self) -> Path:
        return self.files.enter_context(scratch_file(self.place.objects))

    def made(self, sink: Sink, **more: Any) -> Made:
        return Made(sink.path, sink.size, sink.hash, **more)

    @contextmanager
    def batches(self, source: Source) -> Iterator[Batches]:
        """Rows of a source, the headers first. Ends at once where the attempt is over."""
        with ExitStack() as opened:
            path = None if source.rows is not None else opened.enter_context(self.copy(source))
            unpacked = self.place.settings.unpacked_bytes
            batches = opened.enter_context(reading.batches_of(source, path, unpacked))
            yield self._checked(batches)

    def _checked(self, batches: Batches) -> Batches:
        for batch in batches:
            self.place.lease.check()
            yield batch

    def copy(self, source: Source) -> AbstractContextManager[Path]:
        """As it came, the same for all pipelines of the flow."""
        return copy_of(self.place, source)

    @contextmanager
    def result_of_need(self) -> Iterator[Path]:
        """The csv of the same resource."""
        position = self.kinds.index((CSV, self.target))
        result = next(it for it in self.results if it.position == position)
        with self.place.objects.local(result.object) as path:
            yield path
