import pytest


def test_ack_advances_the_offset_to_the_event(api):
    ids = api.append_events(3)
    response = api.acknowledge(ids[0])
    assert (response.status_code, response.json) == (200, "OK")
    assert api.sequences() == [2, 3]


def test_ack_and_nack_out_of_order_are_rejected(api):
    ids = api.append_events(3)
    api.acknowledge(ids[0])
    for action in ("ACK", "NACK"):
        response = api.acknowledge(ids[2], action)
        assert (response.status_code, response.json) == (400, "Bad Request - Consumer offset mismatch: 1->3")
    assert api.sequences() == [2, 3]


def test_repeated_ack_moves_nothing(api):
    ids = api.append_events(3)
    for id_ in (*ids[:2], *ids[:2]):
        assert api.acknowledge(id_).json == "OK"
    assert api.sequences() == [3]


def test_up_to_acknowledges_all_earlier_events_of_the_name(api, an_event):
    ids = api.append([an_event("A"), an_event("B"), an_event("A"), an_event("A")]).json
    assert api.acknowledge(ids[2], upTo="1").json == "OK"
    assert api.sequences(name="A") == [3]
    assert api.sequences(name="B") == [1]
    assert api.acknowledge(ids[0], upTo="1").json == "OK"
    assert api.sequences(name="A") == [3]


@pytest.mark.parametrize(
    "event",
    [
        "x",
        "00000000-0000-0000-0000-000000000000",
        "{00000000-0000-0000-0000-000000000000}",
        "1",
        "%F0%9F%8D%B7",
    ],
)
def test_unknown_event_returns_404(api, event):
    api.append_events()
    response = api.acknowledge(event)
    assert (response.status_code, response.json) == (404, "Not Found")


def test_event_of_another_stream_returns_404(api, api_for, app):
    (id_,) = api.append_events()
    for stream in ("another", "orders", "nowhere"):
        response = api_for(app, stream).acknowledge(id_)
        assert (response.status_code, response.json) == (404, "Not Found")
    assert api.sequences() == [1]


@pytest.mark.parametrize(
    "form",
    [{}, {"action": ""}, {"action": "ack"}, {"action": "DELETE"}, {"action": ["ACK", "ACK"]},
     {"action": ["ACK", "NACK"]},
     {"action": "ACK", "upTo": "2"}, {"action": "ACK", "upTo": ""}, {"action": "NACK", "upTo": "1"},
     {"action": "ACK", "x": "1"},
     {"action": "ACK", "reason": "r"}, {"action": "NACK", "reason": "x" * 1001}, {"action": "NACK", "reason": "a\nb"},
     {"action": "ACK", "delay": "1"}, {"action": "NACK", "delay": "-1"}, {"action": "NACK", "delay": "86401"},
     {"action": "NACK", "delay": ""}, {"action": "NACK", "delay": "nan"}, {"action": "NACK", "delay": "1e3"},
     {"action": "NACK", "delay": "99999999999"}, {"action": "NACK", "delay": ["1", "1"]},
     {"action": "ACK", "eventName": ""}, {"action": "ACK", "eventName": "Other"}],
)  # fmt: skip
def test_invalid_form_is_rejected(api, form):
    (id_,) = api.append_events()
    response = api.client.post(f"{api.path}/events/{id_}", data=form, headers={"X-Consumer-ID": "c"})
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - ")


@pytest.mark.parametrize("consumer", [None, "", "a,b", "a/b", ".."])
def test_missing_or_invalid_consumer_returns_400_that_names_the_header(api, consumer):
    (id_,) = api.append_events()
    headers = {} if consumer is None else {"X-Consumer-ID": consumer}
    response = api.client.post(f"{api.path}/events/{id_}", data={"action": "ACK"}, headers=headers)
    assert response.status_code == 400
    assert "X-Consumer-ID" in response.json


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_body_other_than_a_form_is_rejected(api, content_type):
    (id_,) = api.append_events()
    response = api.client.post(
        f"{api.path}/events/{id_}",
        data=b"action=ACK",
        content_type=content_type,
        headers={"X-Consumer-ID": "c"},
    )
    assert response.status_code == 400


def test_nack_is_counted_and_the_consumer_is_reported_as_stuck(api, stream):
    ids = api.append_events(2)
    assert api.acknowledge(ids[0], "NACK", reason="cannot", delay="0").json == "OK"
    assert api.acknowledge(ids[0], "NACK", reason="still cannot", delay="0").json == "OK"
    assert api.sequences() == [1, 2]
    (state,) = api.consumers()
    assert state["stuck"].pop("since").endswith("Z")
    assert state["stuck"] == {"event": ids[0], "nacks": 2, "reason": "still cannot"}
    api.acknowledge(ids[0])
    assert api.consumers()[0]["stuck"] is None


def test_retried_nack_with_the_same_key_counts_once(api):
    (id_,) = api.append_events()
    headers = {"X-Consumer-ID": "consumer", "Idempotency-Key": "key"}
    for _ in range(3):
        response = api.client.post(f"{api.path}/events/{id_}", data={"action": "NACK"}, headers=headers)
        assert response.json == "OK"
    assert api.consumers()[0]["stuck"]["nacks"] == 1


def test_key_that_another_consumer_used_returns_422_and_moves_nothing(api):
    (id_,) = api.append_events()

    def acknowledge(consumer):
        headers = {"X-Consumer-ID": consumer, "X-Authenticated-User": "ann", "Idempotency-Key": "key"}
        return api.client.post(f"{api.path}/events/{id_}", data={"action": "ACK"}, headers=headers)

    assert acknowledge("one").json == "OK"
    response = acknowledge("two")
    assert response.status_code == 422
    assert "X-Consumer-ID" in response.get_data(as_text=True)
    assert [state["offset"] for state in api.consumers() if state["consumer"] == "two"] in ([], [0])
    assert api.sequences(consumer="two") == [1]
    assert acknowledge("one").headers["Idempotent-Replayed"] == "true"
