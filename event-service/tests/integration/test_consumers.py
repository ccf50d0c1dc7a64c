import pytest


def test_consumers_are_listed_in_pages_with_offset_and_lag(api, an_event):
    ids = api.append([an_event("A"), an_event("A"), an_event("B")]).json
    api.acknowledge(ids[0], consumer="one")
    api.acknowledge(ids[2], consumer="two")
    listing = api.client.get(f"{api.path}/consumers").json
    assert listing["total"] == 2
    assert [state.pop("moved_at")[-1] for state in listing["consumers"]] == ["Z", "Z"]
    assert listing["consumers"] == [
        {"consumer": "one", "eventName": "A", "offset": 1, "lag": 1, "stuck": None},
        {"consumer": "two", "eventName": "B", "offset": 1, "lag": 0, "stuck": None},
    ]
    page = api.client.get(f"{api.path}/consumers?limit=1&offset=1").json
    assert ([state["consumer"] for state in page["consumers"]], page["total"]) == (["two"], 2)


def test_consumers_of_an_unknown_stream_return_404(api, stream):
    response = api.client.get(f"{api.path}/consumers")
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")


def test_offset_can_be_set_forwards_and_backwards(api):
    api.append_events(3)
    for offset, unread in ((2, [3]), (0, [1, 2, 3]), (3, [])):
        response = api.set_offset(offset)
        assert (response.status_code, response.json) == (200, "OK")
        assert api.sequences() == unread


def test_setting_the_offset_resets_the_nacks(api):
    ids = api.append_events(2)
    for _ in range(4):
        api.acknowledge(ids[0], "NACK")
    api.set_offset(0)
    assert api.consumers()[0]["stuck"] is None
    api.acknowledge(ids[0], "NACK", delay="0")
    assert api.sequences() == [1, 2]


@pytest.mark.parametrize(
    "offset",
    [-1, 4, 10**30, 1.5, "1", None, True, [1], "END", "", {}, {"time": None}, {"time": 0}, {"time": "now"},
     {"time": "2026-11-21"}, {"time": "2026-11-21T12:00:00"}, {"time": "2026-02-30T12:00:00Z"},
     {"time": "2026-11-21T12:00:00Z", "x": 1}, {"time": "9999-12-31T23:59:59-01:00"}, ["end"]],
)  # fmt: skip
def test_offset_other_than_0_to_the_last_sequence_is_rejected(api, offset):
    api.append_events(3)
    response = api.set_offset(offset)
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - offset: ")
    assert api.consumers() == []


def test_offset_can_be_set_to_the_end(api):
    api.append_events(3)
    assert api.set_offset("end").json == "OK"
    assert api.sequences() == []
    api.append_events(1)
    assert api.sequences() == [4]


def receive_at(db, times):
    """Set the times at which the events were received, in the order of their positions."""
    with db.transaction() as tx:
        for position, time in enumerate(times, start=1):
            tx.run("UPDATE events SET received_at = %(t)s WHERE position = %(position)s", t=time, position=position)


@pytest.mark.parametrize(
    ("time", "unread"),
    [
        ("2026-11-21T11:59:59Z", [1, 2, 3, 4, 5]),
        ("2026-11-21T12:00:00Z", [1, 2, 3, 4, 5]),
        ("2026-11-21t12:00:00.000001z", [2, 3, 4, 5]),
        ("2026-11-21T14:00:01+02:00", [2, 3, 4, 5]),
        ("2026-11-21T12:00:02Z", [4, 5]),
        ("2026-11-21T12:00:03Z", [5]),
        ("2026-11-21T12:00:04Z", []),
        ("0001-01-01T00:00:00Z", [1, 2, 3, 4, 5]),
        ("9999-12-31T23:59:59Z", []),
    ],
)
@pytest.mark.parametrize("name", ["OrderPlaced", "*"])
def test_offset_can_be_set_to_a_time(api, db, time, unread, name):
    api.append_events(5)
    receive_at(db, [f"2026-11-21T12:00:0{second}Z" for second in (0, 1, 1, 2, 3)])
    assert api.set_offset({"time": time}, name).json == "OK"
    assert api.sequences(name=name) == unread


def test_time_selects_among_the_events_of_the_name(api, db, an_event):
    api.append([an_event(name) for name in "AABBA"])
    receive_at(db, [f"2026-11-21T12:00:0{second}Z" for second in range(5)])
    for time, unread in (("00", [1, 2]), ("02.5", [2]), ("03.5", [])):
        api.set_offset({"time": f"2026-11-21T12:00:{time}Z"}, "B")
        assert api.sequences(name="B") == unread


def test_deleted_consumer_starts_again_without_offsets_parked_events_and_owner(api, an_event):
    ids = api.append_events(3)
    api.acknowledge(ids[0])
    for _ in range(5):
        api.acknowledge(ids[1], "NACK")
    api.set_offset(2, "*")
    other_id = api.append(an_event("Other")).json
    api.lease(name="Other")
    response = api.delete_consumer()
    assert (response.status_code, response.data) == (204, b"")
    assert (api.consumers(), api.parked()["total"]) == ([], 0)
    assert (api.sequences(), api.sequences(name="Other")) == ([1, 2, 3], [1])
    assert api.as_user("bob").acknowledge(other_id, eventName="Other").json == "OK"
    assert api.acknowledge(ids[0]).status_code == 403


def test_deleting_a_consumer_leaves_others_and_other_streams_unchanged(api, api_for, app):
    ids = api.append_events(3)
    other_api = api_for(app, f"{api.stream} 2")
    (other_id,) = other_api.append_events(1)
    api.acknowledge(ids[0], consumer="another")
    other_api.acknowledge(other_id)
    api.acknowledge(ids[0])
    assert [api.delete_consumer().status_code for _ in range(2)] == [204, 204]
    assert [state["consumer"] for state in api.consumers()] == ["another"]
    assert other_api.sequences() == []
    assert other_api.as_user("bob").set_offset(0).status_code == 403


def test_deleting_a_consumer_of_an_unknown_stream_returns_404(api, stream):
    response = api.delete_consumer()
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")


@pytest.mark.parametrize("offset", [0, 1])
def test_offset_of_a_name_without_events_returns_404(api, stream, offset):
    api.append_events()
    response = api.set_offset(offset, name="Other")
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream} has no event named Other")
    assert api.consumers() == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"eventName": "A"},
        {"offset": 0},
        {"eventName": "", "offset": 0},
        {"eventName": "A", "offset": 0, "x": 1},
        [],
    ],
)
def test_invalid_body_is_rejected(api, body):
    api.append_events(1, "A")
    assert api.client.put(f"{api.path}/consumers/c/offset", json=body).status_code == 400


def test_setting_an_offset_of_an_unknown_stream_returns_404(api, stream):
    assert api.set_offset(0).json == f"Not Found - stream {stream}"


@pytest.mark.parametrize("consumer", ["a,b", "%2e%2e", "%ff", "x" * 256])
def test_invalid_consumer_is_rejected(api, consumer):
    api.append_events()
    assert api.set_offset(0, consumer=consumer).status_code == 400
    assert api.client.get(f"{api.path}/consumers/{consumer}/parked").status_code == 400


def test_offsets_of_one_consumer_are_listed(api, client):
    api.append_events()
    for consumer in ("a", "b"):
        api.set_offset(1, consumer=consumer)
        api.set_offset(0, "*", consumer=consumer)
    listing = client.get(f"{api.path}/consumers?consumer=b").json
    assert [(state["consumer"], state["eventName"]) for state in listing["consumers"]] == [
        ("b", "*"),
        ("b", "OrderPlaced"),
    ]
    assert listing["total"] == 2
    assert client.get(f"{api.path}/consumers?consumer=c").json == {"consumers": [], "total": 0}


def test_number_of_parked_events_is_listed(api):
    ids = api.append_events(2)
    api.set_offset(0, consumer="other")
    for event_id in ids:
        for _ in range(5):
            api.acknowledge(event_id, "NACK")
    assert [state.get("parked") for state in api.consumers()] == [2, None]
    api.replay(ids[0])
    assert [state.get("parked") for state in api.consumers()] == [1, None]
