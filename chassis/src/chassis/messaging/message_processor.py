"""Runs the handler of a message: in one transaction, with counted failures and a growing retry delay."""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import Histogram

from chassis import strictjson
from chassis.db import Database
from chassis.errors import Invalid, Problem, Unavailable
from chassis.messaging import inbox
from chassis.messaging.broker import Properties
from chassis.runtime import logs, request_ids

log = logs.logger(__name__)

MAX_FAILURES = 5
_FAILURE_DELAYS_SECONDS = (0.2, 1.0, 3.0, 8.0)  # after the first failure, the second, …
_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.2, 10.0
_MAX_REASON_LENGTH = 2000


@dataclass(frozen=True)
class Delivery:
    """A message as its handler receives it; `body` is parsed JSON."""

    queue: str
    message_id: str
    type: str
    app_id: str
    request_id: str
    headers: dict[str, Any]
    body: Any


@dataclass(frozen=True)
class JobContext:
    """The argument of a handler of long-running jobs, in place of a transaction.

    The handler opens its own transactions, must be idempotent, and raises Interrupted once `stop_event` is set, because
    the worker stops. It continues if the connection to the broker is lost. `settings` and `metrics` are those of the
    service.
    """

    database: Database
    settings: Any
    stop_event: threading.Event
    metrics: Any = None


# The first argument is a Transaction, or the JobContext of a long-running job.
Handler = Callable[[Any, Delivery], None]


class Interrupted(Exception):
    """The worker stops before the message is processed; the broker requeues the message."""


def parse_delivery(queue: str, properties: Properties, body: bytes) -> Delivery:
    """Return the parsed message; raise Invalid if it cannot be parsed."""
    try:
        message_id = str(uuid.UUID(properties.message_id or ""))
    except ValueError:
        raise Invalid("message_id: must be a UUID") from None
    request_id = properties.correlation_id or ""
    return Delivery(
        queue=queue,
        message_id=message_id,
        type=properties.type or "",
        app_id=properties.app_id or "",
        request_id=request_id if request_ids.is_valid(request_id) else "",
        headers=properties.headers or {},
        body=strictjson.loads(body),
    )


class MessageProcessor:
    """Processes messages of one queue, and decides which are retried and which are dead-lettered.

    If the handler raises Invalid, the message is dead-lettered immediately. After any other error it is retried with a
    growing delay, and dead-lettered after MAX_FAILURES failures, which Postgres counts across all workers. If the
    handler raises Unavailable, because a dependency is down, the message is retried indefinitely.
    """

    def __init__(
        self,
        queue: str,
        handler: Handler,
        database: Database,
        durations: Histogram,
        job_context: JobContext | None = None,
    ) -> None:
        """Observe the duration of each attempt in `durations`, by queue and outcome."""
        self._queue, self._handler, self._database, self._job_context = queue, handler, database, job_context
        self._durations = durations

    def run(self, properties: Properties, body: bytes, cancel_event: threading.Event) -> str | None:
        """Return None once the effect is committed, or the reason to dead-letter the message.

        Raises Interrupted if `cancel_event` is set first.
        """
        try:
            delivery = parse_delivery(self._queue, properties, body)
        except Invalid as problem:
            log.error("message.unparsable", queue=self._queue, reason=problem.detail)
            self._durations.labels(self._queue, "rejected").observe(0)
            return problem.detail
        started_at, retry_seconds = time.perf_counter(), _MIN_RETRY_SECONDS
        while not cancel_event.is_set():
            attempted_at = time.perf_counter()
            try:
                self._attempt(delivery)
                self._observe("handled", attempted_at)
                seconds = round(time.perf_counter() - started_at, 4)
                log.info("message.handled", queue=self._queue, type=delivery.type, seconds=seconds)
                return None
            except Interrupted:
                raise
            except Invalid as problem:
                self._observe("rejected", attempted_at)
                log.error("message.rejected", queue=self._queue, reason=problem.detail)
                return _storable(problem.detail) or "rejected"
            except Unavailable as problem:
                self._observe("delayed", attempted_at)
                log.warning("message.delayed", queue=self._queue, reason=problem.detail, retry_seconds=retry_seconds)
                cancel_event.wait(retry_seconds)
                retry_seconds = min(retry_seconds * 2, _MAX_RETRY_SECONDS)
            except Exception as error:
                reason = _storable(repr(error))
                failures = self._record_failure(delivery, reason)
                self._observe("failed" if failures < MAX_FAILURES else "dead_lettered", attempted_at)
                log.exception("message.failed", queue=self._queue, failures=failures)
                if failures >= MAX_FAILURES:
                    return reason
                cancel_event.wait(_FAILURE_DELAYS_SECONDS[max(failures, 1) - 1])
        raise Interrupted

    def _observe(self, outcome: str, attempted_at: float) -> None:
        self._durations.labels(self._queue, outcome).observe(time.perf_counter() - attempted_at)

    def _attempt(self, delivery: Delivery) -> None:
        if self._job_context:
            self._handler(self._job_context, delivery)
            return
        request_id = delivery.request_id if delivery.type == self._queue else ""  # streams record those of events
        with self._database.transaction() as tx:
            if inbox.claim_message(tx, delivery.message_id, self._queue, request_id):
                self._handler(tx, delivery)

    def _record_failure(self, delivery: Delivery, reason: str) -> int:
        """Return the number of failures, or 0 if it could not be stored: then Postgres failed, not the message.

        The last failure deletes the count, so an operator who requeues the message gives it all its attempts again.
        """
        try:
            with self._database.transaction() as tx:
                failures = inbox.record_failure(tx, delivery.message_id, self._queue, reason)
                if failures >= MAX_FAILURES:
                    inbox.delete_failures(tx, delivery.message_id, self._queue)
                return failures
        except Problem:
            return 0


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")[:_MAX_REASON_LENGTH]
