"""A cache of compiled schemas in each process; thanks to it, most appends need no query for schemas."""

import threading
from dataclasses import replace

from chassis.errors import Invalid
from event_service.domain.events import Append
from event_service.domain.schemas import Schemas, check_payloads

_MAX_STREAMS = 1000


class SchemaCache:
    """The schemas of the up to 1000 streams that were used last.

    They may be outdated; therefore each append states the revision that it was validated against.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, tuple[int, Schemas]] = {}

    def put(self, stream: str, revision: int, schemas: Schemas) -> None:
        """Store the schemas, unless a concurrent append has stored those of a later revision."""
        with self._lock:
            cached_revision, _ = self._streams.get(stream, (-1, {}))
            if revision > cached_revision:
                self._streams.pop(stream, None)
                self._streams[stream] = revision, schemas
            if len(self._streams) > _MAX_STREAMS:
                del self._streams[next(iter(self._streams))]

    def validate(self, append: Append) -> Append:
        """Return the append with the revision of the cached schemas, or unchanged if it violates them.

        A violation proves nothing, because the cached schemas may be outdated.
        """
        revision, schemas = self._find(append.stream)
        try:
            check_payloads(schemas, append.events)
        except Invalid:
            return append
        return replace(append, schemas_revision=revision)

    def _find(self, stream: str) -> tuple[int, Schemas]:
        if stream not in self._streams:
            return 0, {}
        with self._lock:
            entry = self._streams.pop(stream, None)
            if entry is None:
                return 0, {}
            # The last one in the dict is the one that was used last.
            self._streams[stream] = entry
            return entry
