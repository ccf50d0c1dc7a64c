"""Runs the handler of a queue for its messages: in transactions, with counted failures and a growing retry delay."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import Histogram

from chassis.db import Database, Transaction
from chassis.errors import Invalid, Problem, Unavailable
from chassis.messaging import inbox
from chassis.messaging.delivery import Delivery, Received, handling, parse_delivery, reporting
from chassis.runtime import logs

log = logs.logger(__name__)

MAX_FAILURES = 5
_FAILURE_DELAYS_SECONDS = (0.2, 1.0, 3.0, 8.0)  # after the first failure, the second, …
_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.2, 10.0
_MAX_REASON_LENGTH = 2000


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

    def run_together(self, messages: Sequence[Received], cancel_event: threading.Event) -> bool:
        """Process the messages in one transaction, in their order.

        Returns False if one of them fails, or if `cancel_event` is set. Then `run` must process each: nothing was
        committed, or the inbox has all of them because the outcome of the commit was unknown.
        """
        if cancel_event.is_set():
            return False
        attempted_at = time.perf_counter()
        try:
            with self._database.transaction() as tx:
                for message in messages:
                    with handling(self._queue, message.properties):
                        self._apply(tx, parse_delivery(self._queue, message))
        except BaseException as error:
            log.info("messages.separated", queue=self._queue, count=len(messages), reason=_storable(repr(error)))
            return False
        seconds = (time.perf_counter() - attempted_at) / len(messages)
        for properties, _ in messages:
            with reporting(properties):
                self._report_handled(properties.type or "", seconds, seconds)
        return True

    def run(self, message: Received, cancel_event: threading.Event) -> str | None:
        """Return None once the effect is committed, or the reason to dead-letter the message.

        Raises Interrupted if `cancel_event` is set first.
        """
        try:
            delivery = parse_delivery(self._queue, message)
        except Invalid as problem:
            log.error("message.unparsable", queue=self._queue, reason=problem.detail)
            self._durations.labels(self._queue, "rejected").observe(0)
            return problem.detail
        started_at, retry_seconds = time.perf_counter(), _MIN_RETRY_SECONDS
        while not cancel_event.is_set():
            attempted_at = time.perf_counter()
            try:
                self._attempt(delivery)
                now = time.perf_counter()
                self._report_handled(delivery.type, now - attempted_at, now - started_at)
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

    def _report_handled(self, message_type: str, attempt_seconds: float, seconds: float) -> None:
        self._durations.labels(self._queue, "handled").observe(attempt_seconds)
        log.info("message.handled", queue=self._queue, type=message_type, seconds=round(seconds, 4))

    def _observe(self, outcome: str, attempted_at: float) -> None:
        self._durations.labels(self._queue, outcome).observe(time.perf_counter() - attempted_at)

    def _attempt(self, delivery: Delivery) -> None:
        if self._job_context:
            self._handler(self._job_context, delivery)
            return
        with self._database.transaction() as tx:
            self._apply(tx, delivery)

    def _apply(self, tx: Transaction, delivery: Delivery) -> None:
        request_id = delivery.request_id if delivery.type == self._queue else ""  # streams record those of events
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
