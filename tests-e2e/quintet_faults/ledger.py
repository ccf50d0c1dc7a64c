"""The ledger of a run: every operation that the load performed, each of its attempts, and its outcome."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

import requests

from quintet_e2e.clients import IN_PROGRESS, TOO_MANY_REQUESTS, Attempt, describe

OUTCOME_SECONDS = 180
_RETRY_SECONDS = 0.1
# 503 states that nothing was done. Some such operations are not retried, so that the checker can verify the statement.
_UNAVAILABLE = 503
_ABANDONED_SHARE = 0.3
# The operation may have been done: the upstream disconnected, did not respond in time, or lost the commit.
_UNKNOWN_STATUSES = frozenset({502, 504, IN_PROGRESS, TOO_MANY_REQUESTS})
_STEADY = "no fault"


class Outcome(StrEnum):
    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass
class Operation:
    """An operation with one Idempotency-Key; `value` identifies its effect, and `fault` is what it began during."""

    workload: str
    value: Any
    fault: str
    outcome: Outcome = Outcome.UNKNOWN
    attempts: list[Attempt] = field(default_factory=list)
    # The JSON body of the successful response, and the wall-clock time at which it was received.
    result: Any = None
    acknowledged_at: float = 0.0
    problem: str = ""

    @property
    def is_ok(self) -> bool:
        return self.outcome is Outcome.OK


class Ledger:
    """Records operations from concurrent threads, and tells whether the load has recovered from a fault."""

    def __init__(self, random: Random) -> None:
        self.operations: list[Operation] = []
        self.fault = _STEADY
        self._random = random
        self._lock = threading.Lock()
        self._attempt_starts: dict[int, float] = {}
        self._last_success: dict[str, float] = {}
        self._failures: list[tuple[float, str]] = []

    def perform(self, workload: str, value: Any, send: Callable[[dict[str, str]], requests.Response]) -> Operation:
        """Send the request with one Idempotency-Key until its outcome is known, or for OUTCOME_SECONDS."""
        operation = Operation(workload, value, self.fault)
        with self._lock:
            self.operations.append(operation)
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        deadline = time.monotonic() + OUTCOME_SECONDS
        while time.monotonic() < deadline:
            attempt = self._attempt(operation, lambda: send(headers))
            if self._is_decided(operation, attempt):
                return operation
            time.sleep(_RETRY_SECONDS)
        return operation

    def report_problem(self, operation: Operation, problem: str) -> None:
        operation.problem = operation.problem or problem

    def _attempt(self, operation: Operation, send: Callable[[], requests.Response]) -> Attempt:
        thread, started_at = threading.get_ident(), time.monotonic()
        with self._lock:
            self._attempt_starts[thread] = started_at
        try:
            response: requests.Response | None = send()
        except requests.RequestException:
            response = None
        attempt = Attempt(started_at, time.monotonic(), response)
        with self._lock:
            del self._attempt_starts[thread]
            operation.attempts.append(attempt)
            if response is not None and response.ok:
                self._last_success[operation.workload] = attempt.ended_at
            else:
                self._failures.append((attempt.ended_at, f"{operation.workload}: {attempt.description:.60}"))
        return attempt

    def _is_decided(self, operation: Operation, attempt: Attempt) -> bool:
        response = attempt.response
        if response is None or response.status_code in _UNKNOWN_STATUSES:
            return False
        if response.ok:
            operation.result, operation.acknowledged_at = response.json(), time.time()
            operation.outcome = Outcome.OK
        elif response.status_code == _UNAVAILABLE:
            if not all(_is_unavailable(earlier) for earlier in operation.attempts):
                return False
            if self._random.random() > _ABANDONED_SHARE:
                return False
            operation.outcome = Outcome.FAIL
        else:
            operation.outcome = Outcome.FAIL
            self.report_problem(operation, f"unexpected response {describe(response)}")
        return True

    def is_stable(self, since: float, workloads: set[str], seconds: float) -> bool:
        """Return whether all workloads succeed again, and nothing has failed for that many seconds.

        An attempt that began before the end of the fault and has not ended may still fail.
        """
        with self._lock:
            start = max(since, self._failures[-1][0] if self._failures else since)
            if any(started_at < since for started_at in self._attempt_starts.values()):
                return False
            has_succeeded = all(self._last_success.get(workload, 0.0) > start for workload in workloads)
        return has_succeeded and time.monotonic() > start + seconds

    def last_failure_after(self, moment: float) -> tuple[float, str]:
        """Return how many seconds after the moment the last attempt failed, or 0, and a description of it."""
        with self._lock:
            seconds, description = max(self._failures, default=(0.0, ""))
        return (seconds - moment, description) if seconds > moment else (0.0, "")


def _is_unavailable(attempt: Attempt) -> bool:
    return attempt.response is not None and attempt.response.status_code == _UNAVAILABLE
