"""The worker's verification of invariants, for tests without a worker."""

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
