"""Appends of one process that come at the same time share a statement and a commit."""

import threading
from collections import OrderedDict
from dataclasses import replace

from chassis.db import Database, Transaction
from chassis.errors import Invalid, Problem
from chassis.runtime import logs
from chassis.runtime.batching import Batcher
from event_service.domain.events import Append
from event_service.domain.ownership import second_writer
from event_service.domain.schemas import Schemas, check_payloads
from event_service.operations import appending
from event_service.store.appending import append_events

log = logs.logger(__name__)

# Larger ones have shared enough among themselves.
_LARGEST_SHARED = 20
_MOST_STREAMS_REMEMBERED = 1000


class Appender:
    def __init__(self, database: Database, reserved_streams: frozenset[str]) -> None:
        self._database, self._reserved_streams = database, reserved_streams
        self._batcher: Batcher[Append, bool] = Batcher(self._try_together)
        self._schemas: OrderedDict[str, tuple[int, Schemas]] = OrderedDict()
        self._lock = threading.Lock()

    def append(self, append: Append) -> None:
        """Durable when it returns. Raises Invalid, Conflict, or what says that the stream is another's."""
        checked = self.checked(append)
        is_small = len(append.events) <= _LARGEST_SHARED
        if self._batcher.submit(checked) if is_small else self._try_together([checked])[0]:
            return
        with self._database.transaction() as tx:
            self.append_alone(tx, checked)

    def append_alone(self, tx: Transaction, checked: Append) -> None:
        newer = appending.append_events(tx, checked)
        if newer:
            tx.after_commit.append(lambda: self._remember(checked.stream, newer))

    def checked(self, append: Append) -> Append:
        """Against the schemas known here. What these refuse is tried without: newer ones decide.

        Raises what says that the stream is another's for the streams of the services.
        """
        if append.stream in self._reserved_streams:
            raise second_writer()
        known = self._schemas.get(append.stream)
        if known is None:
            return append
        revision, schemas = known
        try:
            check_payloads(schemas, append.events)
        except Invalid:
            return append
        return replace(append, revision=revision)

    def _remember(self, stream: str, newer: tuple[int, Schemas]) -> None:
        with self._lock:
            self._schemas[stream] = newer
            self._schemas.move_to_end(stream)
            if len(self._schemas) > _MOST_STREAMS_REMEMBERED:
                self._schemas.popitem(last=False)

    def _try_together(self, appends: list[Append]) -> list[bool]:
        """Whether each was taken; who was not tries alone and is told why.

        One producer, one caller and one revision for each stream: where two differ, one of them at least is wrong, or
        an admin appends next to the owner.
        """
        first: dict[str, Append] = {}
        for append in appends:
            first.setdefault(append.stream, append)
        together = [append for append in appends if _agree(append, first[append.stream])]
        try:
            with self._database.statements() as tx:
                taken = append_events(tx, together, publish=True)
        except Problem:
            raise
        except Exception:
            if len(appends) == 1:
                raise
            log.exception("append.batch_failed", appends=len(appends))
            return [False] * len(appends)
        return [append.stream in taken and _agree(append, first[append.stream]) for append in appends]


def _agree(one: Append, other: Append) -> bool:
    return (one.producer, one.caller, one.revision) == (other.producer, other.caller, other.revision)
