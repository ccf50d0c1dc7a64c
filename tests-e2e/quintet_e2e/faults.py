"""What is left to check after a fault, and how the load on the other side of it is watched."""

import os
import random
import threading
import time
from contextlib import closing

from quintet_e2e.clients import Attempt, Client, done
from quintet_e2e.stacks import Running
from quintet_testing.waiting import eventually

# FAULTS.md: without anybody's help, in seconds.
SERVICE_BACK_WITHIN = 10
POSTGRES_BACK_WITHIN = 20
BROKER_BACK_WITHIN = 30
_QUIET_SECONDS = 1.0
_ENOUGH = 20


def chosen_random() -> random.Random:
    """Of a new seed, or of E2E_SEED to see a run again as far as the clock allows."""
    seed = int(os.environ.get("E2E_SEED") or time.time_ns())
    print(f"E2E_SEED={seed}")
    return random.Random(seed)


def assert_healed(stack: Running) -> None:
    """Healthy without anybody's help, nothing waits any longer, and what must hold holds."""
    stack.wait_until_healthy()
    with closing(Client(stack)) as client:
        eventually(lambda: backlog(client) == 0, BROKER_BACK_WITHIN)
        report = done(client.get("/invariants"))
    assert report["status"] == "OK", report


def backlog(client: Client) -> int:
    services = client.get("/health").json()["services"].values()
    return sum(service["dependencies"]["rabbitmq"]["outbox_backlog"] for service in services)


class Watched:
    """Attempts of a crowd, beside what was done to the stack meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._successes: list[float] = []
        self._failures: list[Attempt] = []

    def note(self, attempt: Attempt) -> None:
        assert attempt.is_ok or attempt.is_away, attempt.told
        with self._lock:
            if attempt.is_ok:
                self._successes.append(attempt.ended)
            else:
                self._failures.append(attempt)

    @property
    def failed(self) -> int:
        return len(self._failures)

    def wait_until_unharmed(self, since: float, within_seconds: float) -> float:
        """Until a second has passed without any failure; how long after `since` the last one ended."""
        eventually(lambda: self._is_quiet(since), within_seconds + _QUIET_SECONDS)
        with self._lock:
            return max((failure.ended - since for failure in self._failures), default=0.0)

    def _is_quiet(self, since: float) -> bool:
        begins = time.monotonic() - _QUIET_SECONDS
        if begins < since:
            return False
        with self._lock:
            failed = any(failure.ended > begins for failure in reversed(self._failures))
            return not failed and sum(ended > begins for ended in self._successes[-5000:]) >= _ENOUGH

    def assert_no_failure_since(self, moment: float) -> None:
        late = [failure.told for failure in self._failures if failure.ended > moment]
        assert not late, late[:5]
