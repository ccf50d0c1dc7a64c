"""Checks after a fault, and monitoring of the load during it."""

import os
import random
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.client import ACCEPTED
from typing import Any

from quintet_e2e.clients import Attempt, Client, describe
from quintet_e2e.stacks import CHECKOUT, RunningStack, environment_for
from quintet_testing.waiting import eventually

# Recovery takes at most this long, without intervention; on a quiet machine it takes less than a third of it.
SERVICE_RECOVERY_SECONDS = 30
POSTGRES_RECOVERY_SECONDS = 60
BROKER_RECOVERY_SECONDS = 90
_FULL_RUN_SECONDS = 120
_STABLE_SECONDS = 1.0
_MIN_SUCCESSES = 20


def seeded_random() -> random.Random:
    """Return a generator with a new seed, or with E2E_SEED to repeat a run as closely as timing allows."""
    seed = int(os.environ.get("E2E_SEED") or time.time_ns())
    print(f"E2E_SEED={seed}")
    return random.Random(seed)


def kill_command(stack: RunningStack, *arguments: str, during: str, after_seconds: float = 0.0) -> None:
    """Run a command of `deploy`, and kill it that many seconds after it has begun the step with this message."""
    command = [sys.executable, str(CHECKOUT / "deploy" / stack.kind), *arguments]
    with subprocess.Popen(command, env=environment_for(stack.home), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(during in line for line in process.stderr)
        time.sleep(after_seconds)
        process.kill()


def assert_recovered(stack: RunningStack) -> None:
    """Assert that the stack becomes healthy without intervention, its outboxes drain and all invariants hold."""
    stack.wait_until_healthy()
    with closing(Client(stack)) as client:
        eventually(lambda: outbox_backlog(client) == 0, BROKER_RECOVERY_SECONDS)
        report = recompute_invariants(client)
    assert (report["status"], report["full"]) == ("OK", "SUCCESS"), report


def recompute_invariants(client: Client) -> dict[str, Any]:
    """Recompute the invariants of all services from the first item, and return their reports."""

    def finished_report() -> dict[str, Any] | None:
        report: dict[str, Any] = client.get("/invariants").json()
        return None if report["full"] in ("PENDING", "PROGRESS") else report

    # A run that is in progress may have passed what was written since.
    eventually(finished_report, _FULL_RUN_SECONDS)
    response = client.get("/invariants?full=1")
    assert response.status_code == ACCEPTED, describe(response)
    return eventually(finished_report, _FULL_RUN_SECONDS) or {}


def outbox_backlog(client: Client) -> int:
    services = client.get("/health").json()["services"].values()
    return sum(service["dependencies"]["rabbitmq"]["outbox_backlog"] for service in services)


class LoadMonitor:
    """Record of the attempts that concurrent clients make while faults are injected."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._successes: list[float] = []
        self._failures: list[Attempt] = []

    def record(self, attempt: Attempt) -> None:
        assert attempt.is_ok or attempt.is_unavailable, attempt.description
        with self._lock:
            if attempt.is_ok:
                self._successes.append(attempt.ended_at)
            else:
                self._failures.append(attempt)

    @property
    def failure_count(self) -> int:
        return len(self._failures)

    def wait_until_recovered(self, since: float, within_seconds: float) -> float:
        """Wait for a second and several successes without a failure; return how long after `since` it ended."""
        eventually(lambda: self._is_stable(since), within_seconds + _STABLE_SECONDS)
        with self._lock:
            return max((failure.ended_at - since for failure in self._failures), default=0.0)

    def _is_stable(self, since: float) -> bool:
        with self._lock:
            start = max([since, *(failure.ended_at for failure in self._failures)])
            success_count = sum(ended_at > start for ended_at in self._successes[-_MIN_SUCCESSES:])
        return time.monotonic() > start + _STABLE_SECONDS and success_count == _MIN_SUCCESSES

    def assert_no_failure_since(self, moment: float) -> None:
        late = [failure.description for failure in self._failures if failure.ended_at > moment]
        assert not late, late[:5]
