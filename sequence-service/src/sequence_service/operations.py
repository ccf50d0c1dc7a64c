"""What the service can be asked to do."""

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate

from chassis.db import Transaction
from chassis.errors import Conflict, Invalid, NotFound, Problem
from chassis.messaging import outbox
from sequence_service import store
from sequence_service.domain import BUILT_IN, Sequence


@dataclass(frozen=True)
class Draw:
    name: str
    count: int
    request_id: str


@dataclass(frozen=True)
class Drawn:
    sequence: Sequence
    first: int
    count: int

    @property
    def numbers(self) -> list[int]:
        return self.sequence.numbers_at(self.first, self.count)


def draw_all(tx: Transaction, draws: list[Draw], now: datetime) -> list[Drawn | Problem]:
    """The tickets of each draw of one sequence, or why it gets none.

    Facts that the numbers make true leave with them.
    """
    counts = [draw.count for draw in draws]
    sequence = store.take_tickets(tx, draws[0].name, sum(counts), max(counts))
    outcomes: list[Drawn | Problem] = (
        [*_shared_out(sequence, counts)] if sequence else [_draw_alone(tx, draw) for draw in draws]
    )
    for draw, outcome in zip(draws, outcomes, strict=True):
        if isinstance(outcome, Drawn):
            _tell(tx, outcome, draw.request_id, now)
    return outcomes


def _shared_out(sequence: Sequence, counts: list[int]) -> list[Drawn]:
    ends = [sequence.issued - sum(counts) + end for end in accumulate(counts)]
    return [Drawn(sequence, end - count, count) for end, count in zip(ends, counts, strict=True)]


def draw(tx: Transaction, wanted: Draw, now: datetime) -> Drawn:
    outcome = draw_all(tx, [wanted], now)[0]
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


def _draw_alone(tx: Transaction, wanted: Draw) -> Drawn | Problem:
    # Locked: revived between two statements, it would be taken for exhausted.
    known = store.lock_sequence(tx, wanted.name)
    if known is None:
        return _unknown(wanted.name)
    if wanted.count > known.size:
        return Invalid.field("n", f"must be at most {known.size}, the size of the range")
    sequence = store.take_tickets(tx, wanted.name, wanted.count, wanted.count)
    if sequence is None:
        return Conflict(f"the sequence {wanted.name} is exhausted: {known.remaining} left, {wanted.count} wanted")
    return Drawn(sequence, sequence.issued - wanted.count, wanted.count)


def _tell(tx: Transaction, drawn: Drawn, request_id: str, now: datetime) -> None:
    sequence = drawn.sequence
    if sequence.wraps_in(drawn.first, drawn.count):
        cycles = (drawn.first + drawn.count) // sequence.size
        payload = {"name": sequence.name, "cycles": cycles}
        outbox.add(tx, outbox.service_event("sequence", "SequenceWrapped", payload, now=now, request_id=request_id))
    if sequence.nears_its_end_in(drawn.first, drawn.count):
        left = sequence.size - drawn.first - drawn.count
        payload = {"name": sequence.name, "remaining": left}
        outbox.add(
            tx,
            outbox.service_event("sequence", "SequenceNearlyExhausted", payload, now=now, request_id=request_id),
        )


def create_sequence(tx: Transaction, wanted: Sequence) -> tuple[Sequence, bool]:
    """Return the sequence, and whether this created or revived it. Raises Conflict if the name has another definition.

    A deleted sequence goes on where it stopped, so that none of its numbers is issued twice.
    """
    created = store.insert_or_revive_sequence(tx, wanted)
    if created:
        return created, True
    existing, is_deleted = store.get_reserved(tx, wanted.name)
    if replace(existing, issued=0) == wanted:
        return existing, False
    definition = (
        f"minimum {existing.minimum}, maximum {existing.maximum}, cycle {str(existing.cycle).lower()}, "
        f"format {existing.format}"
    )
    if is_deleted:
        raise Conflict(
            f"the name {wanted.name} is reserved by a deleted sequence with another definition ({definition}): "
            "repeat that one to revive it, or choose another name"
        )
    raise Conflict(f"the sequence {wanted.name} exists with another definition ({definition})")


def delete_sequence(tx: Transaction, name: str) -> None:
    if name in BUILT_IN:
        raise Conflict(f"the sequence {name} cannot be deleted")
    if not store.delete_sequence(tx, name):
        raise _unknown(name)


def get_sequence(tx: Transaction, name: str) -> Sequence:
    sequence = store.find_sequence(tx, name)
    if sequence is None:
        raise _unknown(name)
    return sequence


def overdrawn(tx: Transaction) -> str | None:
    names = store.find_overdrawn(tx)
    return f"more issued than the range holds, or a broken range: {', '.join(names)}" if names else None


def built_in_changed(tx: Transaction) -> str | None:
    expected = {(name, minimum, maximum, True) for name, (minimum, maximum) in BUILT_IN.items()}
    different = expected ^ set(store.find_built_in(tx))
    return f"not as they were made: {sorted(row[0] for row in different)}" if different else None


def _unknown(name: str) -> NotFound:
    return NotFound(f"there is no sequence {name}")
