"""The context in which the process of a pipeline runs, and the file that it writes."""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chassis.db import Database
from specstore_service.domain.sources import Source
from specstore_service.settings import Settings
from specstore_service.store.jobs import Attempt, Result
from specstore_service.store.objects import ObjectStore


class PipelineFailed(Exception):
    """The pipeline cannot succeed. The errors are for the owner of the spec."""

    def __init__(self, *errors: str) -> None:
        super().__init__(*errors)
        self.errors = list(errors)


@dataclass(frozen=True)
class Task:
    """The input of the process that executes an attempt."""

    attempt: Attempt
    pipeline: str
    kind: str
    target: str
    flow_id: str
    owner: str
    dataset: str
    sources: list[Source]
    # (kind, target) of each pipeline of the flow, by position, and the results that exist already.
    kinds_and_targets: list[tuple[str, str]]
    results: list[Result]
    # The path of the file in the data package.
    path: str
    # Reasons why this version of the service rejects the spec, which an earlier version accepted.
    spec_errors: list[str] = field(default_factory=list)
    # Properties of the package that are published unchanged.
    package: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        return next(source for source in self.sources if source.name == self.target)

    def object_key(self, number: int) -> str:
        """Return the key under which attempt `number` stores its file. No other attempt overwrites it."""
        return f"flows/{self.flow_id}/{self.attempt.position}.{number}-{self.path}"


@dataclass(frozen=True)
class OutputFile:
    """A file and the report on it. If there are errors, the pipeline has failed although the file exists."""

    path: Path
    bytes: int
    hash: str
    rows: int | None = None
    errors: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)


class HashingWriter(io.RawIOBase):
    """Writes a file, and computes its size and hash."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, 0
        self._digest = hashlib.sha256()
        self._file = path.open("wb", buffering=0)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self._digest.update(view[:written])
            self.size += written
            view = view[written:]
        return memoryview(data).nbytes

    def tell(self) -> int:
        return self.size

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    @property
    def hash(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"

    def output(self, **details: Any) -> OutputFile:
        return OutputFile(self.path, self.size, self.hash, **details)


@dataclass(frozen=True)
class PipelineContext:
    """The context of one attempt. The worker deletes the folder `objects.scratch` afterwards, with its contents."""

    task: Task
    settings: Settings
    database: Database
    objects: ObjectStore
    # Called with True before each step that may run indefinitely, and with False after the last one.
    report_progress: Callable[[bool], None]

    @contextmanager
    def writer(self) -> Iterator[HashingWriter]:
        with HashingWriter(self.objects.scratch / "output") as writer:
            yield writer
