"""Issue of numbers, with the events that it causes and the record of who received them."""

from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from chassis.db import Transaction
from chassis.errors import Conflict, Invalid, Problem
from chassis.runtime import tracing
from sequence_service.domain.sequences import Sequence
from sequence_service.operations.events import publish_thresholds
from sequence_service.operations.sequences import unknown_sequence_error
from sequence_service.store import issued as audit_trail
from sequence_service.store import sequences


@dataclass(frozen=True)
class NumberRequest:
    name: str
    count: int
    request_id: str
    username: str
    # The trace context of the request; empty if it is part of no trace.
    traceparent: str


@dataclass(frozen=True)
class IssuedNumbers:
    sequence: Sequence
    first_ticket: int
    count: int

    @property
    def numbers(self) -> list[int]:
        return self.sequence.numbers_at(self.first_ticket, self.count)


def issue_batch(tx: Transaction, requests: list[NumberRequest], now: datetime) -> list[IssuedNumbers | Problem]:
    """Issue numbers of one sequence to all requests; return for each its numbers, or the problem why it receives none.

    The events that the issued numbers cause, and the record of them, are stored in the same transaction.
    """
    counts = [request.count for request in requests]
    sequence = sequences.claim_tickets(tx, requests[0].name, sum(counts), max(counts))
    # If the claim fails, requests are served one by one, so that one that is too large rejects no other.
    results: list[IssuedNumbers | Problem] = (
        [*_divide_tickets(sequence, counts)] if sequence else [_issue_single(tx, request) for request in requests]
    )
    for request, result in zip(requests, results, strict=True):
        if isinstance(result, IssuedNumbers):
            _record(tx, request, result)
            with tracing.continued(request.traceparent):
                publish_thresholds(tx, result.sequence, result.first_ticket, result.count, now, request.request_id)
    return results


def _divide_tickets(sequence: Sequence, counts: list[int]) -> list[IssuedNumbers]:
    ends = [sequence.issued - sum(counts) + end for end in accumulate(counts)]
    return [IssuedNumbers(sequence, end - count, count) for end, count in zip(ends, counts, strict=True)]


def issue_numbers(tx: Transaction, request: NumberRequest, now: datetime) -> IssuedNumbers:
    """Return contiguous numbers that no other caller receives within the cycle; raise the problem if there are none."""
    result = issue_batch(tx, [request], now)[0]
    if isinstance(result, Problem):
        raise result
    return result


def _issue_single(tx: Transaction, request: NumberRequest) -> IssuedNumbers | Problem:
    # The row is locked: the sequence could otherwise be revived, or its period could change, between the statements.
    existing = sequences.lock_sequence(tx, request.name)
    if existing is None:
        return unknown_sequence_error(request.name)
    if request.count > existing.size:
        return Invalid.field("n", f"must be at most {existing.size}, the size of the range")
    sequence = sequences.claim_tickets(tx, request.name, request.count, request.count, existing.period)
    if sequence is None:
        return Conflict(
            f"the sequence {request.name} has {existing.remaining} numbers left, but {request.count} were requested"
        )
    return IssuedNumbers(sequence, sequence.issued - request.count, request.count)


def _record(tx: Transaction, request: NumberRequest, issued: IssuedNumbers) -> None:
    sequence = issued.sequence
    if sequence.audit:
        ranges = sequence.ranges_at(issued.first_ticket, issued.count)
        period = sequence.period or ""
        audit_trail.insert_issued(
            tx, sequence.name, period, issued.first_ticket, ranges, request.username, request.request_id
        )
