import uuid

import pytest

from chassis.strictjson import loads


def test_event_gets_an_id_and_is_read_back_unchanged(api, an_event, stream):
    body = an_event(
        payload={
            "big": 10**30,
            "one": 1,
            "float": 1.0,
            "small": 1e-7,
            "text": "é e\u0301 שלום 🍷 \u2028 </script>",
        }
    )
    response = api.append(body, X_Request_ID="req-1")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    id_ = response.json
    assert str(uuid.UUID(id_)) == id_
    (event,) = api.read().json
    assert event.pop("received_at").endswith("Z")
    assert event == {
        **body,
        "event": {**body["event"], "id": id_},
        "stream": stream,
        "sequence": 1,
        "position": 1,
        "producer": "producer",
        "user": "ann",
        "request_id": "req-1",
    }
    assert '"one":1,"float":1.0' in api.read().text


def test_sequences_count_per_name_and_positions_per_stream(api, an_event):
    for name in ("A", "B", "A"):
        api.append(an_event(name))
    assert [(event["sequence"], event["position"]) for event in api.read("A").json] == [(1, 1), (2, 3)]
    assert [(event["sequence"], event["position"]) for event in api.read("B").json] == [(1, 2)]


def test_second_writer_is_locked_out_and_changes_nothing(api):
    api.append(producer="first")
    response = api.append(producer="second")
    assert (response.status_code, response.json) == (423, "Locked - Second writers not allowed")
    assert api.append([], producer="second").status_code == 400
    assert len(api.read().json) == 1


def test_one_producer_may_append_to_several_streams(api_for, app):
    for name in ("one stream", "another"):
        assert api_for(app, name).append(producer="p").status_code == 200


@pytest.mark.parametrize("service", ["sequence", "event", "orders", "specstore", "factory"])
@pytest.mark.parametrize("role", ["writer", "admin"])
@pytest.mark.parametrize("headers", [{}, {"X_Expected_Position": "0"}, {"Idempotency_Key": "k"}])
def test_clients_cannot_append_to_streams_of_services(api_for, app, service, role, headers):
    api = api_for(app, service).as_user(service, role)
    response = api.append(producer=service, **headers)
    assert (response.status_code, response.json) == (423, "Locked - Second writers not allowed")
    if service == "event":
        assert api.read("A").status_code == 404
    else:
        assert api.read("A").json == []


def test_array_is_appended_completely_and_in_order(api, an_event):
    response = api.append([an_event("A"), an_event("B"), an_event("A")])
    assert response.status_code == 200
    page = api.client.get(f"{api.path}/events?from=1&limit=10").json
    assert [event["event"]["id"] for event in page] == response.json
    assert [(event["position"], event["event"]["name"], event["sequence"]) for event in page] == [
        (1, "A", 1),
        (2, "B", 1),
        (3, "A", 2),
    ]


def test_one_invalid_event_rejects_the_entire_array(api, an_event, outbox):
    response = api.append([an_event(), an_event(), an_event(version=0)])
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - 2.event.version: ")
    assert api.read().status_code == 404
    assert outbox() == []


def test_array_of_a_thousand_events_is_appended(api, an_event):
    ids = api.append([an_event(f"name {number % 7}") for number in range(1000)]).json
    assert len(set(ids)) == 1000
    page = api.client.get(f"{api.path}/events?from=1&limit=1000").json
    assert [event["event"]["id"] for event in page] == ids


def test_array_with_a_thousand_names_is_appended(api, an_event):
    assert api.append([an_event(f"name {number}") for number in range(1000)]).status_code == 200
    assert len(api.client.get(api.path).json["events"]) == 1000


def test_matching_expected_position_is_accepted(api):
    assert api.append(X_Expected_Position="0").status_code == 200
    assert api.append(X_Expected_Position="1").status_code == 200
    assert api.sequences() == [1, 2]


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_other_expected_position_returns_409_that_states_the_current_one(api, expected):
    api.append_events(2)
    response = api.append(X_Expected_Position=str(expected))
    assert (response.status_code, response.json) == (409, "Conflict - stream is at 2")
    assert api.sequences() == [1, 2]


def test_nonexistent_stream_is_at_position_0(api):
    response = api.append(X_Expected_Position="7")
    assert (response.status_code, response.json) == (409, "Conflict - stream is at 0")
    assert api.read().status_code == 404


def test_checks_run_in_the_order_input_writer_position(api):
    api.append(producer="first")
    assert api.append({}, producer="second", X_Expected_Position="9").status_code == 400
    assert api.append(producer="second", X_Expected_Position="9").status_code == 423


def test_retried_append_returns_the_first_id_and_appends_nothing(api, an_event, outbox):
    first = api.append(Idempotency_Key="key")
    retried = api.append(Idempotency_Key="key")
    assert (retried.status_code, retried.json) == (200, first.json)
    assert retried.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert api.sequences() == [1]
    assert len(outbox()) == 1
    different = api.append(an_event("Other"), Idempotency_Key="key")
    assert different.status_code == 422
    assert different.json.startswith("Unprocessable Content - ")


@pytest.mark.parametrize("change", [{"producer": "another"}, {"X_Expected_Position": "1"}])
def test_key_with_another_producer_or_position_returns_422_and_appends_nothing(api, change):
    assert api.append(Idempotency_Key="k").status_code == 200
    assert api.append(Idempotency_Key="k", **change).status_code == 422
    assert api.sequences() == [1]


def test_retry_is_replayed_even_after_the_position_has_advanced(api):
    first = api.append(Idempotency_Key="key", X_Expected_Position="0")
    api.append_events(3)
    assert api.append(Idempotency_Key="key", X_Expected_Position="0").json == first.json


def test_key_can_be_reused_after_an_error(api):
    assert api.append(Idempotency_Key="key", X_Expected_Position="5").status_code == 409
    api.append_events(5)
    assert api.append(Idempotency_Key="key", X_Expected_Position="5").status_code == 200


def test_every_event_is_published_as_it_was_posted(api, an_event, db, stream):
    body = an_event("a.b c", payload={"text": "é"})
    ids = [api.append(body, X_Request_ID="req-7").json, *api.append([body, an_event("B")]).json]
    with db.transaction() as tx:
        rows = tx.all("SELECT *, message_id::text AS uuid FROM outbox ORDER BY id")
    assert [row["uuid"] for row in rows] == ids
    assert loads(rows[0]["body"].encode()) == body
    assert rows[0]["exchange"] == "events"
    assert rows[0]["routing_key"] == f"{stream.replace(' ', '%20')}.a%2Eb%20c"
    assert rows[0]["type"] == "a%2Eb%20c"
    assert rows[0]["correlation_id"] == "req-7"
    assert loads(rows[0]["headers"].encode()) == {"stream": stream, "event": "a.b c"}
    assert not rows[0]["mandatory"]


def test_routing_key_of_long_names_is_truncated_and_the_headers_contain_them(api_for, app, an_event, db):
    stream, name = "é" * 255, "🍷" * 255
    assert api_for(app, stream).append(an_event(name)).status_code == 200
    with db.transaction() as tx:
        row = tx.one("SELECT routing_key, type, headers FROM outbox")
    type_ = ("%F0%9F%8D%B7" * 11)[:127]
    assert (row["routing_key"], row["type"]) == (f"{('%C3%A9' * 22)[:127]}.{type_}", type_)
    assert loads(row["headers"].encode()) == {"stream": stream, "event": name}
