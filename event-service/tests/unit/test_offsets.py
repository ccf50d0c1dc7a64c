import pytest

from chassis.errors import Invalid
from event_service.domain.offsets import Offset, Step, step_of_ack, step_of_nack


def ack(offset, sequence, up_to=False, is_replayed=False):
    return step_of_ack(offset, sequence, up_to=up_to, is_replayed=is_replayed)


def nack(offset, sequence, replayed_nacks=None):
    return step_of_nack(offset, sequence, limit=5, replayed_nacks=replayed_nacks)


def test_the_next_event_moves_the_offset():
    assert ack(Offset(1), 2) is Step.MOVE


@pytest.mark.parametrize("sequence", [1, 2])
def test_what_is_acknowledged_stays_so(sequence):
    assert ack(Offset(2), sequence) is Step.STAY
    assert ack(Offset(2), sequence, up_to=True) is Step.STAY
    assert nack(Offset(2), sequence) is Step.STAY


@pytest.mark.parametrize("settle", [ack, nack])
def test_an_event_that_is_skipped_is_named(settle):
    with pytest.raises(Invalid, match=r"^Consumer offset mismatch: 1->3$"):
        settle(Offset(1), 3)


def test_up_to_skips_on_purpose():
    assert ack(Offset(1), 30, up_to=True) is Step.MOVE


def test_the_fifth_refusal_parks():
    assert [nack(Offset(0, nacks), 1) for nacks in range(5)] == [Step.COUNT] * 4 + [Step.PARK]


def test_a_replayed_event_has_refusals_of_its_own():
    assert nack(Offset(9), 3, replayed_nacks=3) is Step.COUNT_AGAIN
    assert nack(Offset(9), 3, replayed_nacks=4) is Step.PARK_AGAIN
    assert ack(Offset(9), 3, is_replayed=True) is Step.FINISH
