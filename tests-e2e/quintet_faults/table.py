"""The table of a run in Markdown, and whether its figures are within the limits."""

from quintet_faults.checker import DOUBLED, LOST
from quintet_faults.rounds import Measurement, Result

# Events arrive within this time after Postgres and RabbitMQ respond again.
MAX_LAG_SECONDS = 15.0
MAX_RECOVERY_SECONDS = 60.0
_HEADER = (
    "| fault | rounds | operations | lost | doubled | other errors | recovery | slowest request | lag of events |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def render(result: Result) -> str:
    rows = [*result.measurements.values(), _total(result)]
    return "\n".join([_HEADER, *map(_line, rows)])


def _line(row: Measurement) -> str:
    lost, doubled = row.count(LOST), row.count(DOUBLED)
    cells = [row.fault, row.rounds, row.operations, lost, doubled, len(row.violations) - lost - doubled]
    times = (row.recovery_seconds, row.slowest_seconds, row.lag_seconds)
    seconds = ["–" if value is None else f"{value:.1f} s" for value in times]
    return f"| {' | '.join(map(str, [*cells, *seconds]))} |"


def _total(result: Result) -> Measurement:
    rows = result.measurements.values()
    return Measurement(
        "all",
        sum(row.rounds for row in rows),
        sum(row.operations for row in rows),
        max(row.recovery_seconds for row in rows),
        max(row.slowest_seconds for row in rows),
        max(row.lag_seconds or 0.0 for row in rows),
        result.all_violations,
    )


def slow_rows(result: Result) -> list[str]:
    """Return a sentence for each fault that clients had to wait too long for."""
    return [
        f"{row.fault}: {name} {seconds:.1f} s, more than {limit:.0f} s"
        for row in result.measurements.values()
        for name, seconds, limit in (
            ("recovery", row.recovery_seconds, MAX_RECOVERY_SECONDS),
            ("slowest request", row.slowest_seconds, row.max_request_seconds),
            ("lag of events", row.lag_seconds or 0.0, MAX_LAG_SECONDS),
        )
        if seconds > limit
    ]
