"""Rounds: inject one fault after the other into a stack under load, and measure what clients notice."""

import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from random import Random

from quintet_e2e.clients import Client, ok_json
from quintet_e2e.faults import assert_recovered
from quintet_e2e.stacks import RunningStack
from quintet_faults import checker
from quintet_faults.checker import Violation
from quintet_faults.injection import MAX_REQUEST_SECONDS, Context, Fault
from quintet_faults.ledger import Ledger
from quintet_faults.load import Load
from quintet_testing.waiting import eventually

# A fault begins at a random moment within this time.
_STEADY_SECONDS = (1.0, 4.0)
_STABLE_SECONDS = 2.0
# Events take less time without a fault, even if they are many.
_MAX_STEADY_LAG_SECONDS = 1.0
_RECOVERY_SECONDS = 240


@dataclass
class Measurement:
    """The effects on clients of all rounds of a fault."""

    fault: str
    rounds: int = 0
    operations: int = 0
    recovery_seconds: float = 0.0
    slowest_seconds: float = 0.0
    # None if it cannot be measured.
    lag_seconds: float | None = 0.0
    violations: list[Violation] = field(default_factory=list)
    max_request_seconds: float = MAX_REQUEST_SECONDS

    def count(self, *kinds: str) -> int:
        return sum(violation.kind in kinds for violation in self.violations)


@dataclass
class Result:
    """The measurements in the order of the first rounds, and violations that belong to none of them."""

    measurements: dict[str, Measurement]
    violations: list[Violation]

    @property
    def all_violations(self) -> list[Violation]:
        return [violation for row in self.measurements.values() for violation in row.violations] + self.violations


def run_rounds(
    stack: RunningStack,
    faults: Iterable[Fault],
    random: Random,
    log: Callable[[str], None],
    *,
    max_hold_seconds: float | None = None,
) -> Result:
    """Inject the faults in this order under one load, then check every operation and all invariants."""
    context = Context(stack, random, **({"max_hold_seconds": max_hold_seconds} if max_hold_seconds else {}))
    ledger, measurements = Ledger(random), {}
    with closing(Client(stack)) as client:
        load = Load(client, ledger)
        answering_at: dict[str, list[tuple[float, float]]] = {}
        with load.running():
            eventually(lambda: load.is_stable(0.0, 0.0), _RECOVERY_SECONDS)
            for fault in faults:
                row = measurements.setdefault(fault.name, _measurement_of(fault))
                began_at, answered_at, last_failure = _run_round(context, load, fault, row)
                answering_at.setdefault(fault.name, []).append((began_at, answered_at))
                log(f"{fault.name}: HTTP recovered after {row.recovery_seconds:.1f} s {last_failure}".strip())
        violations = [*load.violations(), *checker.problems(ledger), *_dead_letters(client)]
        _measure_requests(ledger, measurements)
        _measure_lags(load, measurements, answering_at)
    assert_recovered(stack)
    return _attribute(measurements, violations)


def _measurement_of(fault: Fault) -> Measurement:
    lag_seconds = 0.0 if fault.has_correct_clock else None
    return Measurement(fault.name, max_request_seconds=fault.max_request_seconds, lag_seconds=lag_seconds)


def _run_round(context: Context, load: Load, fault: Fault, row: Measurement) -> tuple[float, float, str]:
    """Return the times at which the round began and Postgres and RabbitMQ respond again, and the last failure."""
    stack, ledger = context.stack, load.ledger
    ledger.fault, began_at = fault.name, time.time()
    time.sleep(context.random.uniform(*_STEADY_SECONDS))
    ended_at = fault.inject(context)
    eventually(stack.is_database_reachable, _RECOVERY_SECONDS)
    eventually(stack.is_broker_reachable, _RECOVERY_SECONDS)
    answered_at = time.time()
    eventually(lambda: load.is_stable(ended_at, _STABLE_SECONDS), _RECOVERY_SECONDS)
    # The lag of events belongs to this fault, and not to the next one.
    with suppress(AssertionError):
        eventually(lambda: load.sprockets.have_arrived(time.time() - _MAX_STEADY_LAG_SECONDS), _RECOVERY_SECONDS)
    row.rounds += 1
    recovery_seconds, last_failure = ledger.last_failure_after(ended_at)
    row.recovery_seconds = max(row.recovery_seconds, recovery_seconds)
    return began_at, answered_at, last_failure and f"({last_failure})"


def _measure_requests(ledger: Ledger, measurements: dict[str, Measurement]) -> None:
    for operation in ledger.operations:
        if row := measurements.get(operation.fault):
            row.operations += 1
            row.slowest_seconds = max(row.slowest_seconds, *(attempt.seconds for attempt in operation.attempts))


def _measure_lags(
    load: Load, measurements: dict[str, Measurement], rounds: dict[str, list[tuple[float, float]]]
) -> None:
    """Measure how long events took to arrive, or if RabbitMQ or Postgres was down, since both respond again."""
    for operation, stored_at in load.sprockets.arrivals():
        row = measurements.get(operation.fault)
        if row and row.lag_seconds is not None:
            answered_at = max(
                (end for begin, end in rounds[operation.fault] if begin <= operation.acknowledged_at), default=0.0
            )
            lag = stored_at - max(operation.acknowledged_at, answered_at)
            row.lag_seconds = max(row.lag_seconds, lag)


def _dead_letters(client: Client) -> list[Violation]:
    queues = ok_json(client.get("/dead-letters"))["queues"]
    return [
        Violation("wrong", f"{queue['queue']} has {queue['dead_letters']} dead letters", None)
        for queue in queues
        if queue["dead_letters"]
    ]


def _attribute(measurements: dict[str, Measurement], violations: list[Violation]) -> Result:
    others = []
    for violation in violations:
        if violation.fault in measurements:
            measurements[violation.fault].violations.append(violation)
        else:
            others.append(violation)
    return Result(measurements, others)
