"""Offsets: the effect of an ACK or a NACK on a consumer."""

from dataclasses import dataclass
from enum import Enum, auto

from chassis.errors import Invalid


class OffsetAction(Enum):
    KEEP = auto()
    ADVANCE = auto()
    COUNT_NACK = auto()
    PARK = auto()
    # These are for an event that was parked and is being replayed.
    FINISH_REPLAY = auto()
    COUNT_REPLAY_NACK = auto()
    PARK_AGAIN = auto()


@dataclass(frozen=True)
class Offset:
    """`acknowledged` is the sequence of the last acknowledged event; `nacks` counts the NACKs of the event after it."""

    acknowledged: int = 0
    nacks: int = 0


def decide_ack(offset: Offset, sequence: int, *, up_to: bool, is_replayed: bool) -> OffsetAction:
    if is_replayed:
        return OffsetAction.FINISH_REPLAY
    if sequence <= offset.acknowledged:
        return OffsetAction.KEEP
    if not up_to:
        _check_is_next(offset, sequence)
    return OffsetAction.ADVANCE


def decide_nack(offset: Offset, sequence: int, *, limit: int, replay_nacks: int | None) -> OffsetAction:
    """Return the effect of a NACK.

    `replay_nacks` counts the NACKs since the replay of the event began; it is None if the event is not being replayed.
    """
    if replay_nacks is not None:
        return OffsetAction.PARK_AGAIN if replay_nacks + 1 >= limit else OffsetAction.COUNT_REPLAY_NACK
    if sequence <= offset.acknowledged:
        return OffsetAction.KEEP
    _check_is_next(offset, sequence)
    return OffsetAction.PARK if offset.nacks + 1 >= limit else OffsetAction.COUNT_NACK


def _check_is_next(offset: Offset, sequence: int) -> None:
    if sequence != offset.acknowledged + 1:
        raise Invalid(f"Consumer offset mismatch: {offset.acknowledged}->{sequence}")
