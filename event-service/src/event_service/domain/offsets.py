"""What an acknowledgement or a refusal does to a consumer's offset."""

from dataclasses import dataclass
from enum import Enum, auto

from chassis.errors import Invalid


class Step(Enum):
    STAY = auto()
    MOVE = auto()
    COUNT = auto()
    PARK = auto()
    # Of an event that was parked and is given out again.
    FINISH = auto()
    COUNT_AGAIN = auto()
    PARK_AGAIN = auto()


@dataclass(frozen=True)
class Offset:
    """`acknowledged` is the sequence of the last event that is done; `nacks` are those of the event after it."""

    acknowledged: int = 0
    nacks: int = 0


def step_of_ack(offset: Offset, sequence: int, *, up_to: bool, is_replayed: bool) -> Step:
    if is_replayed:
        return Step.FINISH
    if sequence <= offset.acknowledged:
        return Step.STAY
    if not up_to:
        _refuse_unless_next(offset, sequence)
    return Step.MOVE


def step_of_nack(offset: Offset, sequence: int, *, limit: int, replayed_nacks: int | None) -> Step:
    """`replayed_nacks` are those since the event was given out again; None where it was not."""
    if replayed_nacks is not None:
        return Step.PARK_AGAIN if replayed_nacks + 1 >= limit else Step.COUNT_AGAIN
    if sequence <= offset.acknowledged:
        return Step.STAY
    _refuse_unless_next(offset, sequence)
    return Step.PARK if offset.nacks + 1 >= limit else Step.COUNT


def _refuse_unless_next(offset: Offset, sequence: int) -> None:
    if sequence != offset.acknowledged + 1:
        raise Invalid(f"Consumer offset mismatch: {offset.acknowledged}->{sequence}")
