"""Readers of one consumer that divide the events between them by leasing them."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from event_service.domain import offsets
from event_service.operations import consuming
from quintet_testing.waiting import eventually


@pytest.fixture
def ids(api):
    return api.append_events(5)


def offset(api, consumer="consumer"):
    return next(state["offset"] for state in api.consumers() if state["consumer"] == consumer)


def test_leased_event_is_not_returned_to_another_reader(api, ids):
    assert api.lease(limit=2) == [1, 2]
    assert api.lease(limit=2) == [3, 4]
    assert api.lease() == [5]
    assert api.lease() == []
    assert api.lease(consumer="another") == [1, 2, 3, 4, 5]


def test_leased_events_are_the_same_documents_as_in_other_reads(api, ids):
    assert api.read(lease=60).json == api.read(consumer="another").json


def test_leased_events_are_acknowledged_in_any_order_and_the_offset_moves_without_a_gap(api, ids):
    api.lease()
    for number, expected in ((2, 0), (4, 0), (1, 2), (1, 2), (3, 4), (5, 5)):
        response = api.acknowledge(ids[number - 1])
        assert (response.status_code, response.json) == (200, "OK")
        assert offset(api) == expected
    assert api.lease() == []
    api.append_events(1)
    assert api.lease() == [6]


def test_lag_counts_all_events_after_the_offset(api, ids):
    api.lease()
    api.acknowledge(ids[2])
    (state,) = api.consumers()
    assert (state["offset"], state["lag"], state["stuck"]) == (0, 5, None)


def test_lease_that_ended_gives_the_event_to_another_reader(api, ids, end_leases):
    api.lease(limit=3)
    api.acknowledge(ids[1])
    end_leases()
    assert api.lease() == [1, 3, 4, 5]


def test_lease_ends_by_itself(api, ids):
    assert api.lease(1) == [1, 2, 3, 4, 5]
    eventually(lambda: api.lease() == [1, 2, 3, 4, 5])


def test_late_acknowledgement_is_accepted_while_another_reader_holds_the_lease(api, ids, end_leases):
    api.lease(limit=1)
    end_leases()
    assert api.lease(limit=1) == [1]
    for _ in range(2):
        assert api.acknowledge(ids[0]).json == "OK"
    assert offset(api) == 1
    end_leases()
    assert api.lease() == [2, 3, 4, 5]


def test_event_that_was_not_leased_cannot_be_acknowledged(api, ids):
    api.lease(limit=2)
    for action in ("ACK", "NACK"):
        response = api.acknowledge(ids[2], action)
        assert (response.status_code, response.json) == (
            400,
            "Bad Request - the event must be leased before it is acknowledged",
        )


def test_up_to_acknowledges_leased_and_other_events(api, ids):
    api.lease(limit=3)
    api.acknowledge(ids[2])
    assert api.acknowledge(ids[1], upTo="1").json == "OK"
    assert offset(api) == 3
    assert api.acknowledge(ids[3], upTo="1").json == "OK"
    assert (offset(api), api.lease()) == (4, [5])


def test_nack_releases_the_event_after_the_delay(api, ids, end_leases):
    api.lease(limit=2)
    assert api.acknowledge(ids[0], "NACK", delay="3600", reason="busy").json == "OK"
    assert api.lease() == [3, 4, 5]
    (state,) = api.consumers()
    assert state["stuck"].pop("since").endswith("Z")
    assert state["stuck"] == {"event": ids[0], "nacks": 1, "reason": "busy"}
    end_leases()
    assert 1 in api.lease()
    api.acknowledge(ids[0])
    assert api.consumers()[0]["stuck"] is None


def test_nack_with_delay_of_0_releases_the_event_immediately(api, ids):
    api.lease()
    api.acknowledge(ids[3], "NACK", delay="0")
    assert api.lease() == [4]
    assert api.consumers()[0]["stuck"] is None


def test_fifth_nack_parks_a_leased_event_and_the_offset_moves_past_it(api, ids):
    api.lease(limit=3)
    for _ in range(5):
        assert api.acknowledge(ids[1], "NACK", delay="0", reason="no").json == "OK"
    assert [(event["sequence"], event["nacks"]) for event in api.parked()["parked"]] == [(2, 5)]
    assert (offset(api), api.lease()) == (0, [4, 5])
    assert api.acknowledge(ids[1], "NACK").json == "OK"
    api.acknowledge(ids[0])
    assert (offset(api), api.parked()["total"]) == (2, 1)


@pytest.mark.parametrize("is_after_offset", [True, False])
def test_replayed_event_is_leased_to_one_reader(api, ids, end_leases, is_after_offset):
    api.lease(limit=3)
    for _ in range(5):
        api.acknowledge(ids[1], "NACK")
    if not is_after_offset:
        api.acknowledge(ids[0])
    assert api.replay(ids[1]).json == "OK"
    assert (api.lease(limit=1), api.lease()) == ([2], [4, 5])
    end_leases()
    assert api.lease(limit=1) == [2]
    assert api.acknowledge(ids[1]).json == "OK"
    end_leases()
    assert 2 not in api.lease()
    assert (api.parked()["total"], offset(api)) == (0, 0 if is_after_offset else 2)


def test_replay_with_leases_can_be_parked_again(api, ids):
    api.lease(limit=1)
    for _ in range(5):
        api.acknowledge(ids[0], "NACK")
    api.replay(ids[0])
    for number in range(5):
        assert api.lease(limit=1) == [1]
        assert api.parked()["total"] == 0
        api.acknowledge(ids[0], "NACK", delay="0", reason=f"{number}")
    assert [(event["nacks"], event["reason"]) for event in api.parked()["parked"]] == [(5, "4")]
    assert api.lease() == [2, 3, 4, 5]


def test_consumer_that_uses_leases_cannot_read_in_order(api, ids, an_event):
    api.lease(limit=1)
    response = api.read()
    assert (response.status_code, response.json) == (
        409,
        "Conflict - the consumer leases these events; add lease, or set its offset first",
    )
    assert api.read(wait=5).status_code == 409
    api.append(an_event("Other"))
    assert api.sequences(name="Other") == [1]
    assert api.sequences(consumer="another") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("action", ["ACK", "NACK"])
def test_consumer_that_reads_in_order_cannot_use_leases(api, ids, action):
    api.acknowledge(ids[0], action, **({"delay": "0"} if action == "NACK" else {}))
    for wait in (0, 5):
        response = api.read(lease=60, wait=wait)
        assert (response.status_code, response.json) == (
            409,
            "Conflict - the consumer reads these events in order; omit lease, or set its offset first",
        )
    assert api.sequences()[-1] == 5


def test_setting_the_offset_ends_all_leases_and_allows_the_other_kind_of_reads(api, ids):
    api.lease(limit=4)
    api.acknowledge(ids[1])
    for _ in range(5):
        api.acknowledge(ids[2], "NACK")
    api.set_offset(0)
    assert (api.sequences(), api.parked()["total"]) == ([1, 2, 3, 4, 5], 0)
    assert api.acknowledge(ids[0]).json == "OK"
    assert api.read(lease=60).status_code == 409
    api.set_offset(3)
    assert api.lease() == [4, 5]
    api.set_offset(1)
    assert api.lease() == [2, 3, 4, 5]


def test_leases_and_acknowledged_events_after_the_offset_are_limited(api, ids, monkeypatch, end_leases):
    monkeypatch.setattr(offsets, "MAX_LEASES", 3)
    assert (api.lease(), api.lease()) == ([1, 2, 3], [])
    api.acknowledge(ids[1])
    api.acknowledge(ids[2])
    assert api.lease() == []
    end_leases()
    assert api.lease() == [1]
    api.acknowledge(ids[0])
    assert api.lease() == [4, 5]


def test_lease_of_a_name_without_events_is_empty_and_decides_nothing(api, ids):
    assert api.read("New", lease=60).json == []
    (id_,) = api.append_events(1, "New")
    assert api.sequences(name="New") == [1]
    assert api.acknowledge(id_).json == "OK"


def test_lease_of_an_unknown_stream_returns_404(api, stream):
    assert api.read(lease=60, wait=5).json == f"Not Found - stream {stream}"


@pytest.mark.parametrize("lease", ["0", "0.9", "3601", "-1", "", "x", "nan", "1e2", "٣", ["1", "1"]])
def test_invalid_lease_is_rejected(api, ids, lease):
    response = api.read(lease=lease)
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - lease: ")
    assert api.consumers() == []


def test_lease_must_not_be_combined_with_from_or_head(api, ids):
    assert api.client.get(f"{api.path}/events?from=1&limit=1&lease=5").status_code == 400
    query = {"eventName": "OrderPlaced", "limit": 1, "lease": 5}
    headers = {"X-Consumer-ID": "consumer"}
    assert api.client.head(f"{api.path}/events", query_string=query, headers=headers).status_code == 400
    assert api.lease() == [1, 2, 3, 4, 5]


def wait_in_thread(pool, app, read):
    reading = pool.submit(read)
    poller = app.extensions["event"].poller
    eventually(lambda: poller._waiters)
    return reading


def test_waiting_reader_leases_an_appended_event(api, app, ids):
    api.lease()
    with ThreadPoolExecutor(1) as pool:
        reading = wait_in_thread(pool, app, lambda: api.lease(wait=30))
        api.append_events(1)
        assert reading.result(timeout=60) == [6]


def test_waiting_reader_leases_an_event_whose_lease_ends(api, ids):
    api.lease(2)
    start = time.monotonic()
    assert api.lease(wait=30) == [1, 2, 3, 4, 5]
    assert time.monotonic() - start < 20


def test_waiting_reader_leases_an_event_that_another_reader_released(api, app, ids):
    api.lease()
    with ThreadPoolExecutor(1) as pool:
        reading = wait_in_thread(pool, app, lambda: api.lease(wait=30))
        start = time.monotonic()
        api.acknowledge(ids[2], "NACK", delay="0")
        assert reading.result(timeout=60) == [3]
        assert time.monotonic() - start < 20


def test_waiting_reader_returns_nothing_after_the_time(api, ids):
    api.lease()
    start = time.monotonic()
    assert api.lease(wait=1.5) == []
    assert time.monotonic() - start >= 1.5


def test_waiting_reader_that_another_one_preceded_leases_the_event_when_that_lease_ends(api, ids, monkeypatch):
    lease_events = consuming.lease_events

    def lease_events_second(*arguments, **options):
        monkeypatch.setattr(consuming, "lease_events", lease_events)
        assert api.lease(1) == [1, 2, 3, 4, 5]
        return lease_events(*arguments, **options)

    monkeypatch.setattr(consuming, "lease_events", lease_events_second)
    start = time.monotonic()
    assert api.lease(wait=30) == [1, 2, 3, 4, 5]
    assert time.monotonic() - start < 20
