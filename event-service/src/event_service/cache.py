"""A cache of compiled schemas in each process; thanks to it, most appends need no query for schemas."""

import threading
from dataclasses import replace
from typing import NamedTuple

from chassis.errors import Invalid
from event_service.domain.events import Append
from event_service.domain.schemas import Schemas, check_payloads

_MAX_STREAMS = 1000
# Of schemas as they are stored; compiled, they occupy several times as much memory.
_MAX_BYTES = 8 * 1024 * 1024


class _Entry(NamedTuple):
    revision: int
    schemas: Schemas
    size_bytes: int


_EMPTY = _Entry(0, {}, 0)


class SchemaCache:
    """The schemas of the streams that were used last, up to 1000 streams and 8 MiB.

    They may be outdated; therefore each append states the revision that it was validated against.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The last one in the dict is the one that was used last.
        self._streams: dict[str, _Entry] = {}
        self._size_bytes = 0

    def put(self, stream: str, revision: int, schemas: Schemas, size_bytes: int) -> None:
        """Store the schemas, unless a concurrent append has stored those of a later revision."""
        with self._lock:
            cached = self._streams.get(stream)
            if cached and cached.revision >= revision:
                return
            self._remove(stream)
            self._streams[stream] = _Entry(revision, schemas, size_bytes)
            self._size_bytes += size_bytes
            while len(self._streams) > _MAX_STREAMS or self._size_bytes > _MAX_BYTES:
                self._remove(next(iter(self._streams)))

    def _remove(self, stream: str) -> None:
        self._size_bytes -= self._streams.pop(stream, _EMPTY).size_bytes

    def validate(self, append: Append) -> Append:
        """Return the append with the revision of the cached schemas, or unchanged if it violates them.

        A violation proves nothing, because the cached schemas may be outdated.
        """
        cached = self._find(append.stream)
        try:
            check_payloads(cached.schemas, append.events)
        except Invalid:
            return append
        return replace(append, schemas_revision=cached.revision)

    def _find(self, stream: str) -> _Entry:
        if stream not in self._streams:
            return _EMPTY
        with self._lock:
            entry = self._streams.pop(stream, None)
            if entry is None:
                return _EMPTY
            self._streams[stream] = entry
            return entry
