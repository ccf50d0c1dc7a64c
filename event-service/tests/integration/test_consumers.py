import pytest


def test_consumers_and_how_far_they_are(api, an_event):
    ids = api.append([an_event("A"), an_event("A"), an_event("B")]).json
    api.settle(ids[0], consumer="one")
    api.settle(ids[2], consumer="two")
    found = api.client.get(f"{api.path}/consumers").json
    assert found["total"] == 2
    assert [state.pop("moved_at")[-1] for state in found["consumers"]] == ["Z", "Z"]
    assert found["consumers"] == [
        {"consumer": "one", "eventName": "A", "offset": 1, "lag": 1, "stuck": None},
        {"consumer": "two", "eventName": "B", "offset": 1, "lag": 0, "stuck": None},
    ]
    page = api.client.get(f"{api.path}/consumers?limit=1&offset=1").json
    assert ([state["consumer"] for state in page["consumers"]], page["total"]) == (["two"], 2)


def test_the_consumers_of_an_unknown_stream_are_not_found(api, stream):
    response = api.client.get(f"{api.path}/consumers")
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")


def test_an_offset_may_be_set_on_purpose(api):
    api.appended(3)
    for offset, left in ((2, [3]), (0, [1, 2, 3]), (3, [])):
        response = api.set_offset(offset)
        assert (response.status_code, response.json) == (200, "OK")
        assert api.sequences() == left


def test_setting_the_offset_forgets_refusals(api):
    ids = api.appended(2)
    for _ in range(4):
        api.settle(ids[0], "NACK")
    api.set_offset(0)
    assert api.consumers()[0]["stuck"] is None
    api.settle(ids[0], "NACK")
    assert api.sequences() == [1, 2]


@pytest.mark.parametrize("offset", [-1, 4, 10**30, 1.5, "1", None, True, [1]])
def test_an_offset_lies_between_0_and_the_last_sequence(api, offset):
    api.appended(3)
    response = api.set_offset(offset)
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - offset: ")


@pytest.mark.parametrize("offset", [0, 1])
def test_an_offset_of_a_name_without_events_is_not_found(api, stream, offset):
    api.appended()
    response = api.set_offset(offset, name="Other")
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream} has no event Other")
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
def test_a_wrong_body_is_told(api, body):
    api.appended(1, "A")
    assert api.client.put(f"{api.path}/consumers/c/offset", json=body).status_code == 400


def test_an_unknown_stream_has_no_offsets(api, stream):
    assert api.set_offset(0).json == f"Not Found - stream {stream}"


@pytest.mark.parametrize("consumer", ["a,b", "%2e%2e", "%ff", "x" * 256])
def test_a_wrong_consumer_is_told(api, consumer):
    api.appended()
    assert api.set_offset(0, consumer=consumer).status_code == 400
    assert api.client.get(f"{api.path}/consumers/{consumer}/parked").status_code == 400
