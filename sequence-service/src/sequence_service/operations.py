"""Use cases of the sequence-service."""

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate

from chassis.db import Transaction
from chassis.errors import Conflict, Invalid, NotFound, Problem
from chassis.messaging import outbox
from sequence_service import store
from sequence_service.domain import BUILT_IN_RANGES, Sequence


@dataclass(frozen=True)
class NumberRequest:
    name: str
    count: int
    request_id: str


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

    The events that the issued numbers cause are added to the outbox in the same transaction.
    """
    counts = [request.count for request in requests]
    sequence = store.claim_tickets(tx, requests[0].name, sum(counts), max(counts))
    # If the claim fails, requests are served one by one, so that one that is too large rejects no other.
    results: list[IssuedNumbers | Problem] = (
        [*_divide_tickets(sequence, counts)] if sequence else [_issue_single(tx, request) for request in requests]
    )
    for request, result in zip(requests, results, strict=True):
        if isinstance(result, IssuedNumbers):
            _publish_events(tx, result, request.request_id, now)
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
    # The row is locked, because a sequence that is revived between the two statements would appear exhausted.
    existing = store.lock_sequence(tx, request.name)
    if existing is None:
        return _unknown_sequence_error(request.name)
    if request.count > existing.size:
        return Invalid.field("n", f"must be at most {existing.size}, the size of the range")
    sequence = store.claim_tickets(tx, request.name, request.count, request.count)
    if sequence is None:
        return Conflict(
            f"the sequence {request.name} has {existing.remaining} numbers left, but {request.count} were requested"
        )
    return IssuedNumbers(sequence, sequence.issued - request.count, request.count)


def _publish_events(tx: Transaction, issued: IssuedNumbers, request_id: str, now: datetime) -> None:
    sequence, end = issued.sequence, issued.first_ticket + issued.count
    if sequence.completes_cycle(issued.first_ticket, issued.count):
        payload = {"name": sequence.name, "cycles": end // sequence.size}
        outbox.add(tx, outbox.service_event("sequence", "SequenceWrapped", payload, now=now, request_id=request_id))
    if sequence.becomes_nearly_exhausted(issued.first_ticket, issued.count):
        payload = {"name": sequence.name, "remaining": sequence.size - end}
        outbox.add(
            tx,
            outbox.service_event("sequence", "SequenceNearlyExhausted", payload, now=now, request_id=request_id),
        )


def create_sequence(tx: Transaction, definition: Sequence) -> tuple[Sequence, bool]:
    """Return the sequence, and whether this call created or revived it.

    A deleted sequence continues where it stopped, so that none of its numbers is issued twice.
    Raise Conflict if the name has a different definition.
    """
    created = store.insert_or_revive_sequence(tx, definition)
    if created:
        return created, True
    existing, is_deleted = store.get_sequence_including_deleted(tx, definition.name)
    if replace(existing, issued=0) == definition:
        return existing, False
    existing_definition = (
        f"minimum {existing.minimum}, maximum {existing.maximum}, cycle {str(existing.cycle).lower()}, "
        f"format {existing.format}"
    )
    if is_deleted:
        raise Conflict(
            f"the name {definition.name} is reserved by a deleted sequence with a different definition "
            f"({existing_definition}): repeat that definition to revive it, or choose another name"
        )
    raise Conflict(f"the sequence {definition.name} already exists with a different definition ({existing_definition})")


def delete_sequence(tx: Transaction, name: str) -> None:
    if name in BUILT_IN_RANGES:
        raise Conflict(f"the sequence {name} is built in and cannot be deleted")
    if not store.delete_sequence(tx, name):
        raise _unknown_sequence_error(name)


def get_sequence(tx: Transaction, name: str) -> Sequence:
    sequence = store.find_sequence(tx, name)
    if sequence is None:
        raise _unknown_sequence_error(name)
    return sequence


def check_issued_numbers(tx: Transaction) -> str | None:
    """Return a message that names the sequences with an invalid range or count, or None if there are none."""
    names = store.list_invalid_sequences(tx)
    return (
        f"more numbers issued than the range contains, or invalid range or count: {', '.join(names)}" if names else None
    )


def check_built_in_sequences(tx: Transaction) -> str | None:
    """Return a message that names the built-in sequences that differ from the contract, or None if there are none."""
    expected = {(name, minimum, maximum, True) for name, (minimum, maximum) in BUILT_IN_RANGES.items()}
    different = expected ^ set(store.list_built_in_sequences(tx))
    return f"changed, missing or unexpected: {', '.join(sorted({row[0] for row in different}))}" if different else None


def _unknown_sequence_error(name: str) -> NotFound:
    return NotFound(f"sequence {name} not found")
