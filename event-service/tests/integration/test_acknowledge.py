import pytest


def test_an_ack_moves_the_offset_to_the_next(api):
    ids = api.appended(3)
    response = api.settle(ids[0])
    assert (response.status_code, response.json) == (200, "OK")
    assert api.sequences() == [2, 3]


def test_the_order_is_kept(api):
    ids = api.appended(3)
    api.settle(ids[0])
    for action in ("ACK", "NACK"):
        response = api.settle(ids[2], action)
        assert (response.status_code, response.json) == (400, "Bad Request - Consumer offset mismatch: 1->3")
    assert api.sequences() == [2, 3]


def test_acknowledging_again_moves_nothing(api):
    ids = api.appended(3)
    for id_ in (*ids[:2], *ids[:2]):
        assert api.settle(id_).json == "OK"
    assert api.sequences() == [3]


def test_up_to_is_everything_of_the_name(api, an_event):
    ids = api.append([an_event("A"), an_event("B"), an_event("A"), an_event("A")]).json
    assert api.settle(ids[2], upTo="1").json == "OK"
    assert api.sequences(name="A") == [3]
    assert api.sequences(name="B") == [1]
    assert api.settle(ids[0], upTo="1").json == "OK"
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
def test_an_unknown_event_is_not_found(api, event):
    api.appended()
    response = api.settle(event)
    assert (response.status_code, response.json) == (404, "Not Found")


def test_an_event_of_another_stream_is_not_found(api, api_of, app):
    (id_,) = api.appended()
    for stream in ("another", "orders", "nowhere"):
        response = api_of(app, stream).settle(id_)
        assert (response.status_code, response.json) == (404, "Not Found")
    assert api.sequences() == [1]


@pytest.mark.parametrize(
    "form",
    [{}, {"action": ""}, {"action": "ack"}, {"action": "DELETE"}, {"action": ["ACK", "ACK"]},
     {"action": ["ACK", "NACK"]},
     {"action": "ACK", "upTo": "2"}, {"action": "ACK", "upTo": ""}, {"action": "NACK", "upTo": "1"},
     {"action": "ACK", "x": "1"},
     {"action": "ACK", "reason": "r"}, {"action": "NACK", "reason": "x" * 1001}, {"action": "NACK", "reason": "a\nb"}],
)  # fmt: skip
def test_another_action_is_told(api, form):
    (id_,) = api.appended()
    response = api.client.post(f"{api.path}/events/{id_}", data=form, headers={"X-Consumer-ID": "c"})
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - ")


@pytest.mark.parametrize("consumer", [None, "", "a,b", "a/b", ".."])
def test_a_missing_or_wrong_consumer_is_told(api, consumer):
    (id_,) = api.appended()
    headers = {} if consumer is None else {"X-Consumer-ID": consumer}
    response = api.client.post(f"{api.path}/events/{id_}", data={"action": "ACK"}, headers=headers)
    assert response.status_code == 400
    assert "X-Consumer-ID" in response.json


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_only_a_form_is_taken(api, content_type):
    (id_,) = api.appended()
    response = api.client.post(
        f"{api.path}/events/{id_}",
        data=b"action=ACK",
        content_type=content_type,
        headers={"X-Consumer-ID": "c"},
    )
    assert response.status_code == 400


def test_a_refusal_is_counted_and_the_consumer_seen_to_be_stuck(api, stream):
    ids = api.appended(2)
    assert api.settle(ids[0], "NACK", reason="cannot").json == "OK"
    assert api.settle(ids[0], "NACK", reason="still cannot").json == "OK"
    assert api.sequences() == [1, 2]
    (state,) = api.consumers()
    assert state["stuck"].pop("since").endswith("Z")
    assert state["stuck"] == {"event": ids[0], "nacks": 2, "reason": "still cannot"}
    api.settle(ids[0])
    assert api.consumers()[0]["stuck"] is None


def test_the_key_of_a_retried_refusal_makes_it_count_once(api):
    (id_,) = api.appended()
    headers = {"X-Consumer-ID": "consumer", "Idempotency-Key": "key"}
    for _ in range(3):
        response = api.client.post(f"{api.path}/events/{id_}", data={"action": "NACK"}, headers=headers)
        assert response.json == "OK"
    assert api.consumers()[0]["stuck"]["nacks"] == 1


def test_the_key_of_another_consumers_acknowledgement_is_422_and_moves_nothing(api):
    (id_,) = api.appended()

    def acknowledge(consumer):
        headers = {"X-Consumer-ID": consumer, "X-Authenticated-User": "ann", "Idempotency-Key": "key"}
        return api.client.post(f"{api.path}/events/{id_}", data={"action": "ACK"}, headers=headers)

    assert acknowledge("one").json == "OK"
    refused = acknowledge("two")
    assert refused.status_code == 422
    assert "X-Consumer-ID" in refused.get_data(as_text=True)
    assert [state["offset"] for state in api.consumers() if state["consumer"] == "two"] in ([], [0])
    assert api.sequences(consumer="two") == [1]
    assert acknowledge("one").headers["Idempotent-Replayed"] == "true"
