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
    api.acknowledge(ids[0], "NACK")
    assert api.sequences() == [1, 2]


@pytest.mark.parametrize("offset", [-1, 4, 10**30, 1.5, "1", None, True, [1]])
def test_offset_other_than_0_to_the_last_sequence_is_rejected(api, offset):
    api.append_events(3)
    response = api.set_offset(offset)
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - offset: ")


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
