"""Rounds of load on several applications in turn, each until the application has no work left."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from processes import Groups, Usage, difference, read_usage
from wrk import Request, run_load

_MAX_SECONDS = 10

# Waits until the application has no work left; returns when that was and what its groups had used by then.
Drain = Callable[[], tuple[float, Usage]]


@dataclass(frozen=True)
class Application:
    """A program behind a gateway, and the groups of processes whose time is charged to it.

    `background` is what other programs use of its groups, in seconds of processor time per second. It is deducted.
    """

    name: str
    address: str
    groups: Groups
    background: Usage = field(default_factory=dict)
    drain: Drain | None = None


@dataclass(frozen=True)
class Credentials:
    user: str
    password: str


@dataclass(frozen=True)
class Round:
    """`seconds` are those until no work was left, `microseconds` those of processor time per request."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    microseconds: Usage

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def total(self) -> float:
        return sum(self.microseconds.values())


@dataclass(frozen=True)
class Row:
    """The rounds of one application with one request; the other rows of a case are compared with its first."""

    case: str
    application: str
    rounds: Sequence[Round]

    def median(self, value: Callable[[Round], float]) -> float:
        return statistics.median(map(value, self.rounds))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def idle_usage(groups: Groups, seconds: float) -> Usage:
    """Return the processor seconds per second of the groups while nothing is requested."""
    before, started_at = read_usage(groups), time.monotonic()
    time.sleep(seconds)
    usage, elapsed = difference(before, read_usage(groups)), time.monotonic() - started_at
    return {group: value / elapsed for group, value in usage.items()}


def compare(
    case: str,
    request: Request,
    applications: Sequence[Application],
    credentials: Credentials,
    rounds: int,
    seconds: int,
) -> list[Row]:
    """Return a row per application. Their rounds alternate, after one of a second that warms up."""

    for application in applications:
        run_load(application.address, credentials.user, credentials.password, request, 1)
        if application.drain:
            application.drain()
    results: dict[str, list[Round]] = {application.name: [] for application in applications}
    for _ in range(rounds):
        for application in applications:
            results[application.name].append(_run(application, request, credentials, seconds))
    return [Row(case, name, column) for name, column in results.items()]


def _run(application: Application, request: Request, credentials: Credentials, seconds: int) -> Round:
    """Load the application for this long, or for ten times as long if it is too slow to respond within that time."""
    before, started_at = read_usage(application.groups), time.monotonic()
    load = run_load(application.address, credentials.user, credentials.password, request, seconds)
    if application.drain:
        ended_at, after = application.drain()
    else:
        ended_at, after = time.monotonic(), read_usage(application.groups)
    if not load.requests:
        if seconds > _MAX_SECONDS:
            raise RuntimeError(f"{application.name}: {request.method} {request.paths[0]}: no response in {seconds} s")
        return _run(application, request, credentials, 10 * seconds)
    elapsed = ended_at - started_at
    usage = difference(before, after)
    charged = {group: max(0.0, used - application.background.get(group, 0) * elapsed) for group, used in usage.items()}
    microseconds = {group: used * 1e6 / load.requests for group, used in charged.items()}
    return Round(load.requests, elapsed, load.p50_ms, load.p99_ms, microseconds)


def ratios(reference: Row, row: Row, value: Callable[[Round], float]) -> tuple[float, float, float]:
    """Return median, minimum and maximum of the row's value relative to that of the reference in the same round."""
    values = sorted(value(other) / value(own) for own, other in zip(reference.rounds, row.rounds, strict=True))
    return statistics.median(values), values[0], values[-1]
