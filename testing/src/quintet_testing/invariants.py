"""The worker's verification of invariants, for tests without a worker."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from chassis.db import invariant_runs
from chassis.db.invariant_runs import Invariants
from chassis.web.app import App


def invariants_of(app: App) -> Invariants:
    invariants: Invariants = import_module(f"{app.service}_service.app").INVARIANTS
    return invariants


def advance_invariants(app: App, max_steps: int = 1000) -> int:
    """Verify what is due, each step in a transaction, as the worker does; return the number of steps."""
    for step_count in range(max_steps):
        with app.database.transaction() as tx:
            if not invariant_runs.advance(tx, invariants_of(app)):
                return step_count
    return max_steps


def recompute_invariants(app: App) -> dict[str, Any]:
    """Return the result of a full run."""
    response = app.test_client().get("/invariants?full=1")
    assert response.status_code == 202, response.text
    advance_invariants(app)
    full: dict[str, Any] = app.test_client().get("/invariants").get_json()["full"]
    return full


def broken_checks(checks: list[dict[str, str]]) -> set[str]:
    broken = [check for check in checks if check["status"] == "BROKEN"]
    assert all(check["detail"] for check in broken)
    return {check["name"] for check in broken}


def assert_invariants_hold_during(
    app: App, write: Callable[[int], object], writer_count: int = 1, run_count: int = 10
) -> None:
    """Recompute the invariants while threads call `write` with their number, slower than the recomputation reads."""
    stop_event = threading.Event()

    def write_until_stopped(number: int) -> None:
        while not stop_event.wait(0.005):
            write(number)

    with ThreadPoolExecutor(writer_count) as pool:
        writers = [pool.submit(write_until_stopped, number) for number in range(writer_count)]
        try:
            for _ in range(run_count):
                full = recompute_invariants(app)
                assert full["status"] == "SUCCESS", full
                report = app.test_client().get("/invariants").get_json()
                assert report["status"] == "OK", report
        finally:
            stop_event.set()
    for writer in writers:
        writer.result()
