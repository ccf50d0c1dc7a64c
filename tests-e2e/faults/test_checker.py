"""The checker reports each kind of damage in a ledger that was changed by hand, and nothing in the original."""

from random import Random

import pytest
import requests

from quintet_faults.checker import DOUBLED, LOST, REORDERED, UNEXPECTED, WRONG, Comparison, compare, problems
from quintet_faults.injection import faults_for, select
from quintet_faults.ledger import Ledger, Operation, Outcome
from quintet_faults.numbers import compare_numbers
from quintet_faults.rounds import Measurement, Result
from quintet_faults.table import render, slow_rows


def operation(value, outcome=Outcome.OK, fault="kill-postgres", **fields):
    return Operation("events", value, fault, outcome, **fields)


def kinds(comparison):
    return [(violation.kind, violation.fault) for violation in comparison.violations()]


EVENTS = [operation((0, n)) for n in range(1, 6)]
STORED = [(0, n) for n in range(1, 6)]


def test_nothing_is_reported_if_each_effect_is_observed_once_in_order():
    assert kinds(compare("stream", EVENTS, STORED)) == []


def test_lost_effect_is_attributed_to_fault():
    assert kinds(compare("stream", EVENTS, STORED[:2] + STORED[3:])) == [(LOST, "kill-postgres")]


def test_doubled_effect_is_reported():
    assert kinds(compare("stream", EVENTS, [*STORED, STORED[1]])) == [(DOUBLED, "kill-postgres")]


def test_reordered_effects_are_reported_where_order_matters():
    reordered = [STORED[1], STORED[0], *STORED[2:]]
    assert kinds(compare("stream", EVENTS, reordered)) == [(REORDERED, "kill-postgres")]
    assert kinds(compare("stream", EVENTS, reordered, is_ordered=False)) == []


def test_effect_of_failed_operation_is_unexpected():
    failed = [*EVENTS, operation((0, 6), Outcome.FAIL)]
    assert kinds(compare("stream", failed, STORED)) == []
    assert kinds(compare("stream", failed, [*STORED, (0, 6)])) == [(UNEXPECTED, None)]


def test_effect_of_unknown_operation_may_be_observed_once():
    unknown = [*EVENTS, operation((0, 6), Outcome.UNKNOWN)]
    assert kinds(compare("stream", unknown, STORED)) == []
    assert kinds(compare("stream", unknown, [*STORED, (0, 6)])) == []
    assert kinds(compare("stream", unknown, [*STORED, (0, 6), (0, 6)])) == [(DOUBLED, None)]


@pytest.mark.parametrize(
    ("lists", "issued", "expected"),
    [
        ([[1, 2], [3]], 3, []),
        ([[1, 2], [2, 3]], 3, [DOUBLED]),
        ([[1, 2], [4]], 4, [UNEXPECTED]),  # 3 was issued, but no client received it
        ([[1, 2], [3]], 2, [LOST]),  # the service would issue 3 again
    ],
)
def test_numbers_are_issued_once_and_none_is_skipped(lists, issued, expected):
    operations = [operation((len(numbers),), result={"sequence_list": numbers}) for numbers in lists]
    assert [violation.kind for violation in compare_numbers(operations, issued).violations()] == expected


def responses(*statuses):
    """Return a function that sends a request whose responses have these statuses; None is a broken connection."""
    remaining = iter(statuses)

    def send(headers):
        response = requests.Response()
        response.status_code, response._content = next(remaining), b"{}"
        if response.status_code is None:
            raise requests.ConnectionError
        return response

    return send


class NeverAbandons(Random):
    def random(self):
        return 1.0


class AlwaysAbandons(Random):
    def random(self):
        return 0.0


def test_unknown_outcome_is_retried_with_same_key():
    keys, send = [], responses(None, 502, 504, 409, 503, 200)

    def record(headers):
        keys.append(headers["Idempotency-Key"])
        return send(headers)

    # After an unknown outcome, 503 states only that the retry did nothing.
    performed = Ledger(AlwaysAbandons()).perform("events", (0, 1), record)
    assert (performed.outcome, len(performed.attempts), len(keys), len(set(keys))) == (Outcome.OK, 6, 6, 1)


def test_operation_that_certainly_failed_may_be_abandoned():
    assert Ledger(AlwaysAbandons()).perform("events", (0, 1), responses(503)).outcome is Outcome.FAIL
    assert Ledger(NeverAbandons()).perform("events", (0, 1), responses(503, 200)).outcome is Outcome.OK


@pytest.mark.parametrize("status", [400, 404, 500])
def test_unexpected_response_is_a_problem(status):
    ledger = Ledger(NeverAbandons())
    ledger.perform("events", (0, 1), responses(status))
    assert [violation.kind for violation in problems(ledger)] == [WRONG]


def test_outcome_that_remains_unknown_is_a_problem():
    ledger = Ledger(NeverAbandons())
    ledger.operations += [operation((0, 1)), operation((0, 2), Outcome.UNKNOWN)]
    assert [violation.kind for violation in problems(ledger)] == [WRONG]


def test_load_is_stable_only_after_each_workload_has_succeeded():
    ledger = Ledger(NeverAbandons())
    ledger.perform("events", (0, 1), responses(200))
    assert ledger.is_stable(0.0, {"events"}, 0.0)
    assert not ledger.is_stable(0.0, {"events", "numbers"}, 0.0)
    ledger.perform("numbers", (0, 1), responses(None, 200))
    assert not ledger.is_stable(0.0, {"events", "numbers"}, 0.0)
    ledger.perform("events", (0, 2), responses(200))
    assert ledger.is_stable(0.0, {"events", "numbers"}, 0.0)
    assert ledger.last_failure_after(0.0)[1] == "numbers: the connection broke"


def test_table_counts_violations_and_names_slow_faults():
    lost = compare("stream", EVENTS, STORED[1:]).violations()
    doubled = Comparison("stream", [], [(0, 6), (0, 6)], {(0, 6)}).violations()
    rows = [Measurement("kill-postgres", 2, 50, 3.0, 4.0, 0.5, lost), Measurement("pause-redis", 1, 7, 0.0, 10.5, 15.5)]
    result = Result({row.fault: row for row in rows}, doubled)
    lines = render(result).splitlines()[2:]
    assert lines == [
        "| kill-postgres | 2 | 50 | 1 | 0 | 0 | 3.0 s | 4.0 s | 0.5 s |",
        "| pause-redis | 1 | 7 | 0 | 0 | 0 | 0.0 s | 10.5 s | 15.5 s |",
        "| all | 3 | 57 | 1 | 1 | 0 | 3.0 s | 10.5 s | 15.5 s |",
    ]
    assert [text.partition(":")[0] for text in slow_rows(result)] == ["pause-redis", "pause-redis"]


class Stack:
    def __init__(self, kind):
        self.kind = kind


def test_each_fault_has_a_unique_name_and_is_possible_or_has_a_reason():
    faults = faults_for(Stack("compose"))
    assert len({fault.name for fault in faults}) == len(faults)
    assert skipped_kinds(faults) == {"clock"}
    assert skipped_kinds(faults_for(Stack("local"))) == {"clock", "cut", "full", "lose", "out"}


def skipped_kinds(faults):
    return {fault.name.partition("-")[0] for fault in faults if fault.skipped_because}


def test_faults_are_selected_by_pattern():
    faults = faults_for(Stack("compose"))
    selected = [fault.name for fault in select(faults, ["*-rabbitmq", "kill-redis"])]
    assert selected[:2] == ["kill-rabbitmq", "kill-redis"]
    assert {"pause-rabbitmq", "cut-rabbitmq", "full-disk-rabbitmq"} <= {*selected}
    with pytest.raises(ValueError, match="matches no fault"):
        select(faults, ["no-such-fault"])
