"""What the reports of all services amount to."""

from collections.abc import Iterable
from typing import Any

# A service can still respond: a dependency that it can do without is down.
CAN_RESPOND = ("OK", "DEGRADED")


def overall_status(reports: Iterable[dict[str, Any]], worst: str) -> str:
    """Return OK if all are OK, DEGRADED if the others are all DEGRADED, and `worst` otherwise."""
    statuses = {report["status"] for report in reports} - {"OK"}
    if not statuses:
        return "OK"
    return "DEGRADED" if statuses == {"DEGRADED"} else worst
