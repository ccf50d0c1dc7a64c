"""Aggregation of the services' reports."""

from collections.abc import Iterable
from typing import Any

# A degraded service can respond: only a dependency that it does not require is down.
RESPONSIVE_STATUSES = ("OK", "DEGRADED")


def aggregate_status(reports: Iterable[dict[str, Any]], failed: str) -> str:
    """Return OK if all are OK, DEGRADED if the others are all DEGRADED, and `failed` otherwise."""
    statuses = {report["status"] for report in reports} - {"OK"}
    if not statuses:
        return "OK"
    return "DEGRADED" if statuses == {"DEGRADED"} else failed


def aggregate_full_runs(reports: Iterable[dict[str, Any]]) -> str | None:
    """Return the status of the full runs of the invariants, as if they were one; None if a service has had none."""
    statuses = {(report.get("full") or {}).get("status") for report in reports}
    return next((status for status in (None, "PENDING", "PROGRESS", "FAILURE") if status in statuses), "SUCCESS")
