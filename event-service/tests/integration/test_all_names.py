"""`eventName=*` is a consumer of all names; its offset counts positions."""

from concurrent.futures import ThreadPoolExecutor

import pytest


@pytest.fixture
def ids(api, an_event):
    """The IDs of events with the names A, B, A, C and B."""
    return api.append([an_event(name) for name in "ABACB"]).json


def offsets(api):
    return {(state["consumer"], state["eventName"]): state["offset"] for state in api.consumers()}


def test_events_of_all_names_are_read_in_the_order_of_their_positions(api, ids):
    events = api.read("*", limit=4).json
    assert [(event["position"], event["event"]["name"]) for event in events] == [(1, "A"), (2, "B"), (3, "A"), (4, "C")]


def test_acknowledgement_is_for_all_names_if_the_consumer_reads_only_all_names(api, ids):
    assert api.all_positions() == [1, 2, 3, 4, 5]
    assert api.acknowledge(ids[0]).json == "OK"
    assert api.acknowledge(ids[3]).json == "Bad Request - Consumer offset mismatch: 1->4"
    assert api.all_positions() == [2, 3, 4, 5]
    assert api.acknowledge(ids[3], upTo="1").json == "OK"
    assert api.all_positions() == [5]
    assert offsets(api) == {("consumer", "*"): 4}


def test_acknowledgement_states_its_offset(api, ids):
    assert api.acknowledge(ids[0], eventName="*").json == "OK"
    assert api.acknowledge(ids[0], eventName="A").json == "OK"
    assert api.acknowledge(ids[1], eventName="*").json == "OK"
    assert offsets(api) == {("consumer", "*"): 2, ("consumer", "A"): 1}
    response = api.acknowledge(ids[2], eventName="B")
    assert (response.status_code, response.json) == (
        400,
        "Bad Request - eventName: must be * or A, the name of the event",
    )


def test_offsets_of_names_and_of_all_names_are_independent(api, ids):
    api.acknowledge(ids[0])
    assert api.all_positions() == [1, 2, 3, 4, 5]
    # Reading all names does not change what an ACK without a name means for a consumer that reads names.
    assert api.acknowledge(ids[2]).json == "OK"
    assert api.acknowledge(ids[1]).json == "OK"
    assert offsets(api) == {("consumer", "A"): 2, ("consumer", "B"): 1}
    assert (api.all_positions(), api.sequences(name="A")) == ([1, 2, 3, 4, 5], [])


def test_reading_all_names_of_the_consumer_of_another_user_creates_no_offset(api, ids, db):
    with db.transaction() as tx:
        tx.run(
            "INSERT INTO consumers (stream_id, name, owner)"
            " SELECT id, 'consumer', 'ann' FROM streams WHERE owner = 'ann'"
        )
    assert api.as_user("bob").all_positions() == [1, 2, 3, 4, 5]
    assert offsets(api) == {}


def test_role_reader_creates_no_offset(api, ids):
    assert api.as_user("bob", "reader").all_positions() == [1, 2, 3, 4, 5]
    assert offsets(api) == {}


def test_reading_all_names_claims_nothing(api, ids):
    assert api.as_user("bob").all_positions() == [1, 2, 3, 4, 5]
    assert api.acknowledge(ids[0]).json == "OK"
    assert offsets(api) == {("consumer", "*"): 1}
    assert api.as_user("bob").acknowledge(ids[1]).status_code == 403


def test_head_request_creates_no_offset(api, ids):
    response = api.client.head(f"{api.path}/events?eventName=*&limit=1", headers={"X-Consumer-ID": "consumer"})
    assert response.status_code == 200
    assert offsets(api) == {}


def test_nacks_park_the_event_and_a_replay_returns_it(api, ids):
    for number in range(5):
        assert api.acknowledge(ids[0], "NACK", eventName="*", delay="0", reason=f"reason {number}").json == "OK"
        if number == 3:
            (state,) = api.consumers()
            assert state["stuck"] | {"since": None} == {
                "event": ids[0], "nacks": 4, "reason": "reason 3", "since": None
            }  # fmt: skip
            assert (state["eventName"], state["lag"]) == ("*", 5)
    assert api.all_positions() == [2, 3, 4, 5]
    assert [event["event"]["id"] for event in api.parked()["parked"]] == [ids[0]]
    assert api.replay(ids[0]).json == "OK"
    assert api.all_positions() == [1, 2, 3, 4, 5]
    assert api.acknowledge(ids[0]).json == "OK"
    assert api.all_positions() == [2, 3, 4, 5]


def test_event_that_is_parked_for_its_name_and_for_all_names_is_replayed_for_both(api, ids):
    for name in ("A", "*"):
        for _ in range(5):
            api.acknowledge(ids[0], "NACK", eventName=name)
    assert api.parked()["total"] == 2
    assert [event["position"] for event in api.parked()["parked"]] == [1, 1]
    assert api.replay(ids[0]).json == "OK"
    assert (api.all_positions()[0], api.sequences(name="A")[0]) == (1, 1)


def test_offset_is_set_as_a_position(api, ids):
    for offset, unread in ((3, [4, 5]), (0, [1, 2, 3, 4, 5]), ("end", [])):
        assert api.set_offset(offset, "*").json == "OK"
        assert api.all_positions() == unread
    assert api.set_offset(6, "*").json == "Bad Request - offset: must be between 0 and 5, the last event of *"


def test_events_of_all_names_are_leased(api, ids):
    events = api.read("*", limit=3, lease=60).json
    assert [event["position"] for event in events] == [1, 2, 3]
    assert api.acknowledge(ids[2]).json == "OK"
    assert api.acknowledge(ids[0]).json == "OK"
    assert offsets(api) == {("consumer", "*"): 1}
    assert api.read("*").status_code == 409
    assert api.acknowledge(ids[1]).json == "OK"
    assert offsets(api) == {("consumer", "*"): 3}


def test_append_of_any_name_wakes_the_reader(api, an_event):
    api.append(an_event("A"))
    api.set_offset(1, "*")
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(lambda: api.all_positions(wait=30))
        api.append(an_event("Z"))
        assert reader.result(timeout=60) == [2]


def test_stream_without_events_is_empty(api_for, app):
    api = api_for(app, "orders")
    assert api.read("*").json == []
    assert api.set_offset(0, "*").json == "OK"
    assert api.set_offset(1, "*").status_code == 400


def test_star_is_not_a_valid_name_of_an_event(api, an_event):
    for body in (an_event("*"), [an_event("A"), an_event("*")]):
        response = api.append(body)
        assert response.status_code == 400
        assert "name: must not be *, which stands for all names" in response.json
    assert api.read().status_code == 404
    assert api.append(an_event("**")).status_code == 200
    assert api.put_schema(True, name="*").status_code == 400
