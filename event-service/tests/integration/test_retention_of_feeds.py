"""Retention moves consumers of all names and consumers with leases past the events that it deletes."""

from concurrent.futures import ThreadPoolExecutor

from event_service.operations import retention


def states(api):
    return {state["eventName"]: (state["offset"], state["lag"], state.get("missed", 0)) for state in api.consumers()}


def test_consumer_of_all_names_continues_at_the_first_position_left(api, an_event, delete_due):
    ids = api.append([an_event(name) for name in "ABABAB"]).json
    api.acknowledge(ids[0], eventName="*")
    for _ in range(5):
        api.acknowledge(ids[1], "NACK", eventName="*")
    api.put_retention(max_events=2)
    delete_due()
    assert states(api) == {"*": (4, 2, 2)}
    assert (api.all_positions(), api.parked()["total"]) == ([5, 6], 0)
    assert api.all_positions(consumer="new") == [5, 6]
    assert api.acknowledge(ids[4], consumer="new").json == "OK"
    assert api.set_offset(0, "*").json == "OK"
    assert api.all_positions() == [5, 6]
    assert api.set_offset({"time": "2020-01-01T00:00:00Z"}, "*").json == "OK"
    assert api.all_positions() == [5, 6]


def test_leases_of_deleted_events_are_deleted(api, delete_due):
    ids = api.append_events(6)
    api.lease(limit=4)
    api.acknowledge(ids[1])
    api.put_retention(max_events=3)
    delete_due()
    # The second event was acknowledged before it was deleted.
    assert states(api) == {"OrderPlaced": (3, 3, 2)}
    assert api.acknowledge(ids[0]).status_code == 404
    assert api.lease() == [5, 6]
    assert api.acknowledge(ids[3]).json == "OK"
    assert states(api)["OrderPlaced"][0] == 4


def test_offset_moves_over_acknowledged_events_that_are_left(api, delete_due):
    ids = api.append_events(6)
    api.lease(limit=5)
    for number in (2, 3):
        api.acknowledge(ids[number])
    api.put_retention(max_events=4)
    delete_due()
    assert states(api) == {"OrderPlaced": (4, 2, 2)}
    assert api.acknowledge(ids[4]).json == "OK"
    assert states(api)["OrderPlaced"][0] == 5
    assert api.lease() == [6]


def test_deletion_of_all_leased_events_in_batches_leaves_the_rest(api, delete_due, monkeypatch):
    monkeypatch.setattr(retention, "MAX_DELETED_EVENTS", 2)
    ids = api.append_events(7)
    api.lease(limit=4)
    api.acknowledge(ids[3])
    api.put_retention(max_events=1)
    assert delete_due() == 3
    assert states(api) == {"OrderPlaced": (6, 1, 5)}
    assert (api.lease(), api.lease(consumer="new")) == ([7], [7])


def test_lease_of_a_new_consumer_begins_at_the_first_event_left(api, delete_due):
    api.append_events(5)
    api.put_retention(max_events=2)
    delete_due()
    assert api.lease(limit=1) == [4]
    assert states(api) == {"OrderPlaced": (3, 2, 0)}


def test_replayed_event_that_is_deleted_is_no_longer_leased(api, delete_due):
    ids = api.append_events(3)
    api.lease(limit=1)
    for _ in range(5):
        api.acknowledge(ids[0], "NACK")
    api.replay(ids[0])
    api.put_retention(max_events=1)
    delete_due()
    assert api.lease() == [3]


def test_readers_with_leases_process_what_is_left_during_deletions(api, delete_due, monkeypatch):
    """Each event is acknowledged or missed, exactly once; the invariants are checked after the test."""
    monkeypatch.setattr(retention, "MAX_DELETED_EVENTS", 3)
    api.append_events(150)
    api.lease(limit=1)
    api.put_retention(max_events=10)
    processed = []

    def work(_number):
        while events := api.read(lease=3600, limit=2).json:
            for event in events:
                response = api.acknowledge(event["event"]["id"])
                assert response.status_code in (200, 404)
                processed.append(event["sequence"])

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work, number) for number in range(3)]
        deletion = pool.submit(delete_due)
        for worker in workers:
            worker.result(timeout=120)
        assert deletion.result(timeout=120)
    assert len(processed) == len(set(processed))
    assert set(range(141, 151)) <= set(processed)
    assert states(api)["OrderPlaced"][:2] == (150, 0)
