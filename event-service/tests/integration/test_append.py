import uuid

import pytest

from chassis.strictjson import loads


def test_an_event_is_given_an_id_and_comes_back_as_it_went_in(api, an_event, stream):
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


def test_sequences_count_a_name_and_positions_the_stream(api, an_event):
    for name in ("A", "B", "A"):
        api.append(an_event(name))
    assert [(event["sequence"], event["position"]) for event in api.read("A").json] == [(1, 1), (2, 3)]
    assert [(event["sequence"], event["position"]) for event in api.read("B").json] == [(1, 2)]


def test_a_second_writer_is_locked_out_and_changes_nothing(api):
    api.append(producer="first")
    response = api.append(producer="second")
    assert (response.status_code, response.json) == (423, "Locked - Second writers not allowed")
    assert api.append([], producer="second").status_code == 400
    assert len(api.read().json) == 1


def test_one_producer_may_own_many_streams(api_of, app):
    for name in ("one stream", "another"):
        assert api_of(app, name).append(producer="p").status_code == 200


@pytest.mark.parametrize("service", ["sequence", "event", "orders", "specstore", "factory"])
@pytest.mark.parametrize("role", ["writer", "admin"])
@pytest.mark.parametrize("how", [{}, {"X_Expected_Position": "0"}, {"Idempotency_Key": "k"}])
def test_the_services_streams_are_theirs_whatever_a_client_calls_itself(api_of, app, service, role, how):
    api = api_of(app, service).by(service, role)
    response = api.append(producer=service, **how)
    assert (response.status_code, response.json) == (423, "Locked - Second writers not allowed")
    if service == "event":
        assert api.read("A").status_code == 404
    else:
        assert api.read("A").json == []


def test_an_array_is_appended_whole_and_in_its_order(api, an_event):
    response = api.append([an_event("A"), an_event("B"), an_event("A")])
    assert response.status_code == 200
    page = api.client.get(f"{api.path}/events?from=1&limit=10").json
    assert [event["event"]["id"] for event in page] == response.json
    assert [(event["position"], event["event"]["name"], event["sequence"]) for event in page] == [
        (1, "A", 1),
        (2, "B", 1),
        (3, "A", 2),
    ]


def test_one_wrong_event_keeps_all_of_an_array_out(api, an_event, outbox):
    response = api.append([an_event(), an_event(), an_event(version=0)])
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - 2.event.version: ")
    assert api.read().status_code == 404
    assert outbox() == []


def test_a_thousand_at_once(api, an_event):
    ids = api.append([an_event(f"name {number % 7}") for number in range(1000)]).json
    assert len(set(ids)) == 1000
    page = api.client.get(f"{api.path}/events?from=1&limit=1000").json
    assert [event["event"]["id"] for event in page] == ids


def test_a_thousand_names_at_once(api, an_event):
    assert api.append([an_event(f"name {number}") for number in range(1000)]).status_code == 200
    assert len(api.client.get(api.path).json["events"]) == 1000


def test_an_expected_position_that_holds_is_no_matter(api):
    assert api.append(X_Expected_Position="0").status_code == 200
    assert api.append(X_Expected_Position="1").status_code == 200
    assert api.sequences() == [1, 2]


@pytest.mark.parametrize("expected", [0, 1, 3])
def test_another_position_than_expected_is_a_conflict_that_names_it(api, expected):
    api.appended(2)
    response = api.append(X_Expected_Position=str(expected))
    assert (response.status_code, response.json) == (409, "Conflict - stream is at 2")
    assert api.sequences() == [1, 2]


def test_a_stream_that_is_not_there_is_at_0(api):
    response = api.append(X_Expected_Position="7")
    assert (response.status_code, response.json) == (409, "Conflict - stream is at 0")
    assert api.read().status_code == 404


def test_wrong_input_is_told_before_another_writer_and_that_before_another_position(api):
    api.append(producer="first")
    assert api.append({}, producer="second", X_Expected_Position="9").status_code == 400
    assert api.append(producer="second", X_Expected_Position="9").status_code == 423


def test_the_retry_of_an_append_gives_the_first_id_and_appends_nothing(api, an_event, outbox):
    first = api.append(Idempotency_Key="key")
    again = api.append(Idempotency_Key="key")
    assert (again.status_code, again.json) == (200, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert api.sequences() == [1]
    assert len(outbox()) == 1
    other = api.append(an_event("Other"), Idempotency_Key="key")
    assert other.status_code == 422
    assert other.json.startswith("Unprocessable Content - ")


@pytest.mark.parametrize("change", [{"producer": "another"}, {"X_Expected_Position": "1"}])
def test_the_key_with_another_producer_or_position_is_422_and_appends_nothing(api, change):
    assert api.append(Idempotency_Key="k").status_code == 200
    assert api.append(Idempotency_Key="k", **change).status_code == 422
    assert api.sequences() == [1]


def test_a_retry_is_answered_though_the_position_has_moved_on(api):
    first = api.append(Idempotency_Key="key", X_Expected_Position="0")
    api.appended(3)
    assert api.append(Idempotency_Key="key", X_Expected_Position="0").json == first.json


def test_after_an_error_the_key_is_free(api):
    assert api.append(Idempotency_Key="key", X_Expected_Position="5").status_code == 409
    api.appended(5)
    assert api.append(Idempotency_Key="key", X_Expected_Position="5").status_code == 200


def test_every_event_goes_to_the_exchange_as_it_was_posted(api, an_event, db, stream):
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
