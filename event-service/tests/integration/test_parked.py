import pytest

from event_service.app import create_app


def nack(api, event_id, times=5, **form):
    for _ in range(times):
        assert api.acknowledge(event_id, "NACK", delay="0", **form).status_code == 200


def test_fifth_nack_parks_the_event_and_advances_the_offset(api):
    ids = api.append_events(3)
    nack(api, ids[0], 4)
    assert (api.sequences(), api.parked()["total"]) == ([1, 2, 3], 0)
    nack(api, ids[0], 1, reason="no such customer")
    assert api.sequences() == [2, 3]
    parked = api.parked()
    assert parked["total"] == 1
    (event,) = parked["parked"]
    assert event.pop("parked_at").endswith("Z")
    assert (event.pop("nacks"), event.pop("reason")) == (5, "no such customer")
    assert event == api.client.get(f"{api.path}/events/{ids[0]}").json
    assert api.consumers()[0]["stuck"] is None


def test_setting_defines_the_number_of_nacks(api, api_for, settings, stream):
    ids = api.append_events(2)
    other_api = api_for(create_app(settings.model_copy(update={"nack_limit": 2})), stream)
    nack(other_api, ids[0], 1)
    assert (api.sequences(), api.parked()["total"]) == ([1, 2], 0)
    nack(other_api, ids[0], 1)
    assert (api.sequences(), api.parked()["total"]) == ([2], 1)


def test_event_is_parked_once_and_only_for_its_consumer(api):
    ids = api.append_events(2)
    nack(api, ids[0], 8)
    assert api.parked()["total"] == 1
    assert api.parked("another")["total"] == 0
    assert api.sequences(consumer="another") == [1, 2]
    assert api.acknowledge(ids[0]).json == "OK"
    assert (api.sequences(), api.parked()["total"]) == ([2], 1)


def test_replayed_event_is_returned_first_until_it_is_acknowledged(api):
    ids = api.append_events(4)
    nack(api, ids[0])
    api.acknowledge(ids[1])
    assert (api.replay(ids[0]).status_code, api.replay(ids[0]).json) == (200, "OK")
    assert api.sequences() == [1, 3, 4]
    assert (api.sequences(limit=1), api.sequences(limit=2)) == ([1], [1, 3])
    assert api.parked()["total"] == 0
    assert api.consumers()[0]["offset"] == 2
    api.acknowledge(ids[2])
    assert api.sequences() == [1, 4]
    assert api.acknowledge(ids[0]).json == "OK"
    assert api.sequences() == [4]
    assert (api.parked()["total"], api.consumers()[0]["offset"]) == (0, 3)


def test_replayed_event_can_be_parked_again(api):
    ids = api.append_events(2)
    nack(api, ids[0])
    api.replay(ids[0])
    nack(api, ids[0], 4)
    assert api.sequences() == [1, 2]
    nack(api, ids[0], 1, reason="again")
    assert api.sequences() == [2]
    assert [(event["nacks"], event["reason"]) for event in api.parked()["parked"]] == [(5, "again")]


def test_replayed_events_are_returned_in_order(api):
    ids = api.append_events(4)
    for id_ in ids[:3]:
        nack(api, id_)
    for id_ in (ids[2], ids[0]):
        api.replay(id_)
    assert api.sequences() == [1, 3, 4]
    assert api.acknowledge(ids[3], upTo="1").json == "OK"
    assert api.sequences() == []
    assert [event["sequence"] for event in api.parked()["parked"]] == [2]


def test_event_that_is_not_parked_cannot_be_replayed(api, api_for, app):
    ids = api.append_events(2)
    nack(api, ids[0])
    for response in (
        api.replay(ids[1]),
        api.replay(ids[0], "another"),
        api.replay("x"),
        api_for(app, "orders").replay(ids[0]),
    ):
        assert (response.status_code, response.json) == (404, "Not Found")


def test_parked_events_are_listed_in_pages(api):
    ids = api.append_events(5)
    for id_ in ids:
        nack(api, id_)
    page = api.client.get(f"{api.path}/consumers/consumer/parked?limit=2&offset=3").json
    assert ([event["sequence"] for event in page["parked"]], page["total"]) == ([4, 5], 5)
    assert api.client.get(f"{api.path}/consumers/consumer/parked?limit=0").status_code == 400


def test_parked_events_of_an_unknown_stream_return_404(api, stream):
    response = api.client.get(f"{api.path}/consumers/c/parked")
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")


@pytest.mark.parametrize("offset", [0, 1])
def test_offset_set_back_unparks_the_events_after_it(api, offset):
    ids = api.append_events(3)
    api.acknowledge(ids[0])
    nack(api, ids[1])
    api.set_offset(offset)
    assert api.sequences() == [1, 2, 3][offset:]
    assert api.parked()["total"] == 0


def test_all_parked_events_are_replayed_in_order(api, an_event):
    ids = api.append_events(5)
    (other_id,) = api.append_events(1, "Other")
    for id_ in ids[:4]:
        nack(api, id_)
    nack(api, other_id)
    nack(api, ids[0], consumer="another")
    assert api.replay(ids[2]).json == "OK"
    nack(api, ids[2], 2)
    for _ in range(2):
        response = api.replay_all()
        assert (response.status_code, response.json) == (200, "OK")
    assert (api.sequences(), api.sequences(name="Other")) == ([1, 2, 3, 4, 5], [1])
    assert (api.parked()["total"], api.parked("another")["total"]) == (0, 1)
    assert [state["offset"] for state in api.consumers() if state["eventName"] == "OrderPlaced"] == [1, 4]
    nack(api, ids[2], 3)
    assert [event["sequence"] for event in api.parked()["parked"]] == [3]


def test_replaying_all_events_without_any_changes_nothing(api, stream):
    assert api.replay_all().json == f"Not Found - stream {stream}"
    api.append_events(1)
    assert api.replay_all().json == "OK"
    assert (api.consumers(), api.sequences()) == ([], [1])
