"""A cache of compiled schemas in each process; thanks to it, most appends need no query for schemas."""

import threading
from dataclasses import replace

from chassis.errors import Invalid
from event_service.domain.events import Append
from event_service.domain.schemas import Schemas, check_payloads

_MAX_STREAMS = 1000


class SchemaCache:
    """The schemas of up to 1000 streams; a new entry replaces the oldest one.

    They may be outdated; therefore each append states the revision that it was validated against.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, tuple[int, Schemas]] = {}

    def put(self, stream: str, revision: int, schemas: Schemas) -> None:
        with self._lock:
            if len(self._streams) >= _MAX_STREAMS:
                self._streams.pop(next(iter(self._streams)))
            self._streams[stream] = revision, schemas

    def validate(self, append: Append) -> Append:
        """Return the append with the revision of the cached schemas, or unchanged if it violates them.

        A violation proves nothing, because the cached schemas may be outdated.
        """
        revision, schemas = self._streams.get(append.stream, (0, {}))
        try:
            check_payloads(schemas, append.events)
        except Invalid:
            return append
        return replace(append, schemas_revision=revision)
