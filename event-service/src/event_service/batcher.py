"""Batching: concurrent appends to one process share a statement and a commit."""

from collections.abc import Sequence

from chassis.db import Database
from chassis.errors import Problem
from chassis.runtime import logs
from chassis.runtime.batching import Batcher
from event_service.domain.events import Append
from event_service.operations import events

log = logs.logger(__name__)

# Appends with more events gain nothing from sharing a commit.
MAX_BATCHED_EVENTS = 20


class AppendFailed(Exception):
    """The batch failed, possibly because of another append in it: retry this append alone."""


def create_append_batcher(database: Database) -> Batcher[Append, None]:
    """Return a batcher whose `submit` raises the rejection that `append_events` returns, or AppendFailed."""

    def append_batch(appends: list[Append]) -> Sequence[BaseException | None]:
        try:
            with database.statements() as tx:
                return events.append_events(tx, appends)
        except Problem:
            raise
        except Exception:
            log.exception("append.batch_failed", appends=len(appends))
            return [AppendFailed() for _ in appends]

    return Batcher(append_batch)
