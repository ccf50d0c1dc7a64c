import pytest

from chassis.errors import Conflict, Invalid
from event_service.domain.feeds import EventLocation
from event_service.domain.offsets import (
    MAX_LEASES,
    Lease,
    Offset,
    OffsetAction,
    check_may_lease,
    check_may_read_in_order,
    decide_ack,
    decide_nack,
    default_delay_seconds,
    new_numbers,
)


def ack(offset, number, up_to=False, is_replayed=False, lease=None):
    return decide_ack(offset, number, up_to=up_to, is_replayed=is_replayed, lease=lease)


def nack(offset, number, replay_nacks=None, lease=None):
    action, _ = decide_nack(offset, number, limit=5, replay_nacks=replay_nacks, lease=lease)
    return action


def leased(acknowledged):
    return Offset(acknowledged, has_leases=True)


def test_ack_of_the_next_event_advances_the_offset():
    assert ack(Offset(1), 2) is OffsetAction.ADVANCE


@pytest.mark.parametrize("number", [1, 2])
def test_ack_and_nack_of_an_acknowledged_event_change_nothing(number):
    for offset in (Offset(2), leased(2)):
        assert ack(offset, number) is OffsetAction.KEEP
        assert ack(offset, number, up_to=True) is OffsetAction.KEEP
        assert nack(offset, number) is OffsetAction.KEEP


@pytest.mark.parametrize("decide", [ack, nack])
@pytest.mark.parametrize("offset", [Offset(1), Offset(1, has_leases=None)])
def test_skipping_an_event_is_rejected(decide, offset):
    with pytest.raises(Invalid, match=r"^Consumer offset mismatch: 1->3$"):
        decide(offset, 3)


def test_up_to_may_skip_events():
    for offset in (Offset(1), leased(1)):
        assert ack(offset, 30, up_to=True) is OffsetAction.ADVANCE
    assert ack(leased(1), 3, up_to=True, lease=Lease(is_acknowledged=True)) is OffsetAction.ADVANCE


@pytest.mark.parametrize("decide", [ack, nack])
def test_event_must_be_leased_before_it_is_acknowledged(decide):
    with pytest.raises(Invalid, match=r"^the event must be leased before it is acknowledged$"):
        decide(leased(1), 2)


def test_leased_events_are_acknowledged_in_any_order():
    assert ack(leased(1), 7, lease=Lease()) is OffsetAction.ADVANCE
    assert nack(leased(1), 7, lease=Lease()) is OffsetAction.COUNT_NACK
    for decide in (ack, nack):
        assert decide(leased(1), 7, lease=Lease(is_acknowledged=True)) is OffsetAction.KEEP


def test_fifth_nack_parks_the_event():
    expected = [(OffsetAction.COUNT_NACK, number) for number in range(1, 5)] + [(OffsetAction.PARK, 5)]
    assert [decide_nack(Offset(0, nacks), 1, limit=5, replay_nacks=None) for nacks in range(5)] == expected
    leases = [Lease(nacks) for nacks in range(5)]
    assert [decide_nack(leased(0), 3, limit=5, replay_nacks=None, lease=lease) for lease in leases] == expected


def test_nacks_of_a_replayed_event_are_counted_separately():
    assert nack(Offset(9), 3, replay_nacks=3) is OffsetAction.COUNT_REPLAY_NACK
    assert nack(Offset(9), 3, replay_nacks=4) is OffsetAction.PARK_AGAIN
    assert ack(Offset(9), 3, is_replayed=True) is OffsetAction.FINISH_REPLAY


def test_default_delay_grows_with_each_nack():
    assert [default_delay_seconds(nacks) for nacks in (1, 2, 3, 4, 5, 999)] == [1, 5, 25, 125, 125, 125]


def test_consumer_uses_either_leases_or_reads_in_order():
    check_may_lease(None)
    check_may_lease(True)
    check_may_read_in_order(None)
    check_may_read_in_order(False)
    for check, has_leases in ((check_may_lease, False), (check_may_read_in_order, True)):
        with pytest.raises(Conflict):
            check(has_leases)


def test_new_events_follow_the_last_lease_up_to_the_limit():
    assert new_numbers(3, None, 5) == range(4, 6)
    assert new_numbers(3, 4, 5) == range(5, 6)
    assert not new_numbers(3, 5, 5)
    assert new_numbers(3, None, 10**6) == range(4, 4 + MAX_LEASES)
    assert not new_numbers(3, 3 + MAX_LEASES, 10**6)


def locate(name="A", reads_all_names=False):
    return EventLocation(7, 40, name, 3, 12, reads_all_names)


@pytest.mark.parametrize(
    ("location", "requested_name", "feed_number"),
    [
        (locate(), None, (40, 3)),
        (locate(), "A", (40, 3)),
        (locate(), "*", (-7, 12)),
        (locate(reads_all_names=True), None, (-7, 12)),
        (locate(reads_all_names=True), "A", (40, 3)),
        (locate("*"), None, (-7, 12)),
    ],
)
def test_request_is_for_the_name_or_for_all_names(location, requested_name, feed_number):
    assert location.feed_number(requested_name) == feed_number


def test_name_of_another_event_is_rejected():
    with pytest.raises(Invalid, match=r"^eventName: must be \* or A, the name of the event$"):
        locate().feed_number("B")
