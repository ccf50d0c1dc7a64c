"""The checker: compares what the clients were promised with what the services return."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from quintet_faults.ledger import Ledger, Operation, Outcome

LOST, DOUBLED, REORDERED, UNEXPECTED, WRONG = "lost", "doubled", "reordered", "unexpected", "wrong"


@dataclass(frozen=True)
class Violation:
    kind: str
    description: str
    # The fault during which the operation began, or None if the effect belongs to no operation.
    fault: str | None


@dataclass
class Comparison:
    """The effects of the operations of one resource, in order, and those that a service returns.

    An effect of `expected` must be observed once; one of `possible`, whose operation has an unknown outcome, at most
    once; no other may be observed.
    """

    subject: str
    expected: list[tuple[Hashable, Operation]]
    observed: list[Any]
    possible: set[Any] = field(default_factory=set)
    is_ordered: bool = True

    def violations(self) -> list[Violation]:
        """Return each effect that is lost, doubled or unexpected; or else the first one that is out of order."""
        operations = dict(self.expected)
        expected = Counter(effect for effect, _ in self.expected)
        observed = Counter(self.observed)
        found = []
        for effect, operation in operations.items():
            if not observed[effect]:
                found.append(self._violation(LOST, effect, operation.fault))
            elif observed[effect] > 1 or expected[effect] > 1:
                found.append(self._violation(DOUBLED, effect, operation.fault))
        for effect in observed.keys() - expected.keys():
            if effect not in self.possible:
                found.append(self._violation(UNEXPECTED, effect, None))
            elif observed[effect] > 1:
                found.append(self._violation(DOUBLED, effect, None))
        return found or self._reordered(operations)

    def _reordered(self, operations: dict[Hashable, Operation]) -> list[Violation]:
        if not self.is_ordered:
            return []
        observed = [effect for effect in self.observed if effect in operations]
        for actual, (effect, operation) in zip(observed, self.expected, strict=True):
            if actual != effect:
                return [self._violation(REORDERED, actual, operation.fault)]
        return []

    def _violation(self, kind: str, effect: Any, fault: str | None) -> Violation:
        return Violation(kind, f"{self.subject}: {effect} is {kind}", fault)


def compare(subject: str, operations: list[Operation], observed: list[Any], *, is_ordered: bool = True) -> Comparison:
    """Return the comparison of operations that have one effect each: their `value`."""
    expected = [(operation.value, operation) for operation in operations if operation.is_ok]
    possible = {operation.value for operation in operations if operation.outcome is Outcome.UNKNOWN}
    return Comparison(subject, expected, observed, possible, is_ordered)


def problems(ledger: Ledger) -> list[Violation]:
    """Return the operations whose responses were wrong, and those whose outcome remained unknown."""
    found = []
    for operation in ledger.operations:
        if operation.problem:
            found.append(Violation(WRONG, f"{operation.workload}: {operation.problem}", operation.fault))
        if operation.outcome is Outcome.UNKNOWN:
            text = f"{operation.workload}: the outcome of {operation.value} remained unknown"
            found.append(Violation(WRONG, text, operation.fault))
    return found
