"""A message's way through its handler: one transaction, counted failures, growing pauses."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chassis import strictjson
from chassis.db import Database
from chassis.errors import Invalid, Problem, Unavailable
from chassis.messaging import inbox
from chassis.runtime import logs

log = logs.logger(__name__)

MOST_FAILURES = 5
_FAILURE_PAUSES = (0.2, 1.0, 3.0, 8.0)
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_LONGEST_REASON = 2000


@dataclass(frozen=True)
class Delivery:
    """A message as a handler sees it; `body` is parsed JSON."""

    queue: str
    message_id: str
    type: str
    app_id: str
    request_id: str
    headers: dict[str, Any]
    body: Any


@dataclass(frozen=True)
class JobContext:
    """In place of a transaction, where the work is too long for one.

    The handler opens its own, makes a repetition harmless itself, and raises Interrupted once `stop_event` is set: the
    worker stops. A connection to the broker that is lost is none of its business, or no work could outlast one.
    """

    database: Database
    settings: Any
    stop_event: threading.Event


# Its first argument is the Transaction, or the JobContext of long work.
Handler = Callable[[Any, Delivery], None]


class Interrupted(Exception):
    """The worker stops before the message was through: it goes back to the queue."""


def parse_delivery(queue: str, properties: Any, body: bytes) -> Delivery:
    """Raises Invalid for a message that nobody can understand."""
    try:
        message_id = str(uuid.UUID(properties.message_id or ""))
    except ValueError:
        raise Invalid("message_id: must be a UUID") from None
    return Delivery(
        queue=queue,
        message_id=message_id,
        type=properties.type or "",
        app_id=properties.app_id or "",
        request_id=properties.correlation_id or "",
        headers=properties.headers or {},
        body=strictjson.loads(body),
    )


class MessageProcessor:
    """A handler that raises Invalid gives the message up at once. Another error is tried again after growing pauses,

    and the message given up after five, counted in Postgres over all workers. A dependency that is down
    (Unavailable) counts as no failure: the message waits for it.
    """

    def __init__(self, queue: str, handler: Handler, database: Database, job_context: JobContext | None = None) -> None:
        """`job_context`: for a handler of long work."""
        self._queue, self._handler, self._database, self._job_context = queue, handler, database, job_context

    def run(self, properties: Any, body: bytes, stop_event: threading.Event) -> str | None:
        """None: its effect is committed. Text: why it is given up. Raises Interrupted once `stop_event` is set."""
        try:
            delivery = parse_delivery(self._queue, properties, body)
        except Invalid as problem:
            log.error("message.not_understood", queue=self._queue, reason=problem.detail)
            return problem.detail
        pause = _SHORTEST_PAUSE
        while not stop_event.is_set():
            try:
                self._attempt(delivery)
                return None
            except Interrupted:
                raise
            except Invalid as problem:
                log.error("message.refused", queue=self._queue, reason=problem.detail)
                return _storable(problem.detail) or "refused"
            except Unavailable as problem:
                log.warning("message.waits", queue=self._queue, reason=problem.detail, pause_seconds=pause)
                stop_event.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception as error:
                reason = _storable(repr(error))
                failures = self._count_failure(delivery, reason)
                log.exception("message.failed", queue=self._queue, failures=failures)
                if failures >= MOST_FAILURES:
                    return reason
                stop_event.wait(_FAILURE_PAUSES[max(failures, 1) - 1])
        raise Interrupted

    def _attempt(self, delivery: Delivery) -> None:
        if self._job_context:
            self._handler(self._job_context, delivery)
            return
        with self._database.transaction() as tx:
            if inbox.claim_message(tx, delivery.message_id, self._queue):
                self._handler(tx, delivery)

    def _count_failure(self, delivery: Delivery, reason: str) -> int:
        """0 when even that could not be written down: then Postgres failed, not the message.

        The fifth is forgotten: put back by hand, the message has five tries again.
        """
        try:
            with self._database.transaction() as tx:
                failures = inbox.count_failure(tx, delivery.message_id, self._queue, reason)
                if failures >= MOST_FAILURES:
                    inbox.forget_failures(tx, delivery.message_id, self._queue)
                return failures
        except Problem:
            return 0


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")[:_LONGEST_REASON]
