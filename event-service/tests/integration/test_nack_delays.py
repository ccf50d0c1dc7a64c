"""After a NACK, reads return the event again only after a delay."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from quintet_testing.waiting import eventually


@pytest.fixture
def nack(api, db):
    """Return a function that sends a NACK and returns the shortest and the longest delay that may result from it."""

    def read(sql):
        with db.transaction() as tx:
            return tx.value(sql)

    def nack(event_id, **form):
        before = read("SELECT now()")
        assert api.acknowledge(event_id, "NACK", **form).json == "OK"
        delayed_until, after = read("SELECT delayed_until FROM offsets"), read("SELECT now()")
        return (delayed_until - after).total_seconds(), (delayed_until - before).total_seconds()

    return nack


def test_read_during_the_delay_returns_nothing_from_the_event_on(api, end_leases):
    ids = api.append_events(3)
    api.acknowledge(ids[0])
    assert api.acknowledge(ids[1], "NACK", delay="3600").json == "OK"
    assert api.sequences() == []
    assert api.sequences(consumer="another") == [1, 2, 3]
    end_leases()
    assert api.sequences() == [2, 3]


def test_default_delays_are_1_5_25_and_125_seconds(api, nack):
    (id_,) = api.append_events()
    for expected in (1, 5, 25, 125):
        shortest, longest = nack(id_)
        assert shortest <= expected <= longest
        assert api.consumers()[0]["stuck"]["event"] == id_
    api.acknowledge(id_, "NACK")
    assert api.parked()["total"] == 1


def test_default_delay_ends_by_itself(api):
    (id_,) = api.append_events()
    api.acknowledge(id_, "NACK")
    eventually(lambda: api.sequences() == [1])


@pytest.mark.parametrize(("delay", "seconds"), [("0", 0), ("0.5", 0.5), ("86400", 86400)])
def test_delay_is_as_requested(api, nack, delay, seconds):
    (id_,) = api.append_events()
    shortest, longest = nack(id_, delay=delay)
    assert shortest <= seconds <= longest


def test_delay_of_0_returns_the_event_immediately(api):
    (id_,) = api.append_events()
    api.acknowledge(id_, "NACK", delay="3600")
    api.acknowledge(id_, "NACK", delay="0")
    assert api.sequences() == [1]


def test_nack_during_the_delay_counts(api):
    ids = api.append_events(2)
    for nacks in range(1, 5):
        api.acknowledge(ids[0], "NACK", delay="3600")
        assert (api.consumers()[0]["stuck"]["nacks"], api.sequences()) == (nacks, [])
    api.acknowledge(ids[0], "NACK", delay="3600")
    assert (api.sequences(), api.parked()["total"]) == ([2], 1)


def test_ack_during_the_delay_ends_it(api):
    ids = api.append_events(2)
    api.acknowledge(ids[0], "NACK", delay="3600")
    assert api.acknowledge(ids[0]).json == "OK"
    assert api.sequences() == [2]


def test_setting_the_offset_ends_the_delay(api):
    ids = api.append_events(2)
    api.acknowledge(ids[0], "NACK", delay="3600")
    api.set_offset(0)
    assert api.sequences() == [1, 2]


def test_replayed_event_is_delayed_without_delaying_others(api, end_leases):
    ids = api.append_events(2)
    for _ in range(5):
        api.acknowledge(ids[0], "NACK")
    api.replay(ids[0])
    assert api.acknowledge(ids[0], "NACK", delay="3600").json == "OK"
    assert api.sequences() == [2]
    end_leases()
    assert api.sequences() == [1, 2]


def test_delay_of_an_earlier_replay_does_not_delay_a_new_one(api):
    ids = api.append_events(1)
    for _ in range(5):
        api.acknowledge(ids[0], "NACK")
    api.replay(ids[0])
    for _ in range(5):
        api.acknowledge(ids[0], "NACK", delay="3600")
    assert (api.parked()["total"], api.sequences()) == (1, [])
    api.replay(ids[0])
    assert api.sequences() == [1]


@pytest.mark.parametrize("is_replayed", [False, True])
def test_long_poll_returns_the_event_when_the_delay_ends(api, is_replayed):
    (id_,) = api.append_events()
    if is_replayed:
        for _ in range(5):
            api.acknowledge(id_, "NACK")
        api.replay(id_)
    api.acknowledge(id_, "NACK", delay="2")
    start = time.monotonic()
    assert api.sequences(wait=30) == [1]
    assert time.monotonic() - start < 20


def test_append_during_the_delay_wakes_no_reader(api, app):
    (id_,) = api.append_events()
    api.acknowledge(id_, "NACK", delay="3600")
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(lambda: api.sequences(wait=5))
        poller = app.extensions["event"].poller
        waiter = eventually(lambda: [waiter for waiters in poller._waiters.values() for waiter in waiters])[0]
        api.append_events()
        assert not waiter.awake.wait(0.5)
        assert reader.result(timeout=30) == []
