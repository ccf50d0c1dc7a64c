import pytest

from chassis.errors import Invalid
from event_service.domain.offsets import Offset, OffsetAction, decide_ack, decide_nack


def ack(offset, sequence, up_to=False, is_replayed=False):
    return decide_ack(offset, sequence, up_to=up_to, is_replayed=is_replayed)


def nack(offset, sequence, replay_nacks=None):
    return decide_nack(offset, sequence, limit=5, replay_nacks=replay_nacks)


def test_ack_of_the_next_event_advances_the_offset():
    assert ack(Offset(1), 2) is OffsetAction.ADVANCE


@pytest.mark.parametrize("sequence", [1, 2])
def test_ack_and_nack_of_an_acknowledged_event_change_nothing(sequence):
    assert ack(Offset(2), sequence) is OffsetAction.KEEP
    assert ack(Offset(2), sequence, up_to=True) is OffsetAction.KEEP
    assert nack(Offset(2), sequence) is OffsetAction.KEEP


@pytest.mark.parametrize("decide", [ack, nack])
def test_skipping_an_event_is_rejected(decide):
    with pytest.raises(Invalid, match=r"^Consumer offset mismatch: 1->3$"):
        decide(Offset(1), 3)


def test_up_to_may_skip_events():
    assert ack(Offset(1), 30, up_to=True) is OffsetAction.ADVANCE


def test_fifth_nack_parks_the_event():
    assert [nack(Offset(0, nacks), 1) for nacks in range(5)] == [OffsetAction.COUNT_NACK] * 4 + [OffsetAction.PARK]


def test_nacks_of_a_replayed_event_are_counted_separately():
    assert nack(Offset(9), 3, replay_nacks=3) is OffsetAction.COUNT_REPLAY_NACK
    assert nack(Offset(9), 3, replay_nacks=4) is OffsetAction.PARK_AGAIN
    assert ack(Offset(9), 3, is_replayed=True) is OffsetAction.FINISH_REPLAY
