"""Offsets: the effect of an ACK or a NACK on a consumer."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from chassis.errors import Conflict, Invalid

# A consumer never has more leases and acknowledged events after its offset than this.
MAX_LEASES = 10_000

# The delay after the first NACK of an event, after the second, and so on; the last one applies to all later NACKs.
_DELAYS_SECONDS = (1, 5, 25, 125)


class OffsetAction(Enum):
    KEEP = auto()
    # With leases: acknowledge this event, and then advance over all acknowledged events.
    ADVANCE = auto()
    COUNT_NACK = auto()
    PARK = auto()
    # These are for an event that was parked and is being replayed.
    FINISH_REPLAY = auto()
    COUNT_REPLAY_NACK = auto()
    PARK_AGAIN = auto()


@dataclass(frozen=True)
class Offset:
    """`acknowledged` is the number of the last acknowledged event; `nacks` counts the NACKs of the event after it.

    `has_leases` is None if the consumer may still choose whether it uses leases or reads in order.
    """

    acknowledged: int = 0
    nacks: int = 0
    has_leases: bool | None = False


class Lease(NamedTuple):
    """An event after the offset that was leased; `is_acknowledged` also means that it was parked."""

    nacks: int = 0
    is_acknowledged: bool = False


def decide_ack(
    offset: Offset, number: int, *, up_to: bool, is_replayed: bool, lease: Lease | None = None
) -> OffsetAction:
    if is_replayed:
        return OffsetAction.FINISH_REPLAY
    if number <= offset.acknowledged or (lease and lease.is_acknowledged and not up_to):
        return OffsetAction.KEEP
    if not up_to:
        _check_may_acknowledge(offset, number, lease)
    return OffsetAction.ADVANCE


def decide_nack(
    offset: Offset, number: int, *, limit: int, replay_nacks: int | None, lease: Lease | None = None
) -> tuple[OffsetAction, int]:
    """Return the effect of a NACK, and the number of NACKs of the event including this one.

    `replay_nacks` counts the NACKs since the replay of the event began; it is None if the event is not being replayed.
    """
    if replay_nacks is not None:
        nacks = replay_nacks + 1
        return OffsetAction.PARK_AGAIN if nacks >= limit else OffsetAction.COUNT_REPLAY_NACK, nacks
    nacks = (lease.nacks if lease else offset.nacks) + 1
    if number <= offset.acknowledged or (lease and lease.is_acknowledged):
        return OffsetAction.KEEP, nacks
    _check_may_acknowledge(offset, number, lease)
    return OffsetAction.PARK if nacks >= limit else OffsetAction.COUNT_NACK, nacks


def _check_may_acknowledge(offset: Offset, number: int, lease: Lease | None) -> None:
    if offset.has_leases:
        if lease is None:
            raise Invalid("the event must be leased before it is acknowledged")
    elif number != offset.acknowledged + 1:
        raise Invalid(f"Consumer offset mismatch: {offset.acknowledged}->{number}")


def default_delay_seconds(nacks: int) -> int:
    """Return how long an event is delayed after its NACK with this number."""
    return _DELAYS_SECONDS[min(nacks, len(_DELAYS_SECONDS)) - 1]


def check_may_lease(has_leases: bool | None) -> None:
    if has_leases is False:
        raise Conflict("the consumer reads these events in order; omit lease, or set its offset first")


def check_may_read_in_order(has_leases: bool | None) -> None:
    if has_leases:
        raise Conflict("the consumer leases these events; add lease, or set its offset first")


def new_numbers(acknowledged: int, last_leased: int | None, last: int) -> range:
    """Return the numbers of the events that can be leased for the first time."""
    return range(max(acknowledged, last_leased or 0) + 1, min(last, acknowledged + MAX_LEASES) + 1)
