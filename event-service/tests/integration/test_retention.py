"""Retention deletes the first events of a stream; everything else continues."""

from datetime import UTC, datetime, timedelta

import pytest

from event_service.operations import retention

FORBIDDEN = (
    "Forbidden - the stream belongs to another user or has no owner yet: only its owner and admins may set retention"
)
NONE = {"max_age_days": None, "max_events": None}


def in_days(days):
    return datetime.now(UTC) + timedelta(days=days)


def test_retention_can_be_set_read_replaced_and_removed(api):
    api.append_events()
    assert api.get("/retention").json == NONE
    response = api.put_retention(90, 1_000_000)
    assert (response.status_code, response.json) == (200, "OK")
    assert api.as_user("bob").get("/retention").json == {"max_age_days": 90, "max_events": 1_000_000}
    api.put_retention(max_events=5)
    assert api.get("/retention").json == {"max_age_days": None, "max_events": 5}
    assert api.put_retention().status_code == 200
    assert api.get("/retention").json == NONE
    api.put_retention(90)
    for _ in range(2):
        assert api.client.delete(f"{api.path}/retention", headers=api.identity).status_code == 204
    assert api.get("/retention").json == NONE


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_events": 0}, "max_events"),
        ({"max_events": -1}, "max_events"),
        ({"max_events": 1.5}, "max_events"),
        ({"max_events": "5"}, "max_events"),
        ({"max_events": True}, "max_events"),
        ({"max_events": 2**63}, "max_events"),
        ({"max_age_days": 0}, "max_age_days"),
        ({"max_age_days": 10**9}, "max_age_days"),
        ({"max_age_days": []}, "max_age_days"),
        ({"max_age": 1}, "max_age"),
        ([], "body"),
    ],
)
def test_invalid_retention_returns_400_that_names_the_field(api, body, field):
    api.append_events()
    response = api.client.put(f"{api.path}/retention", json=body, headers=api.identity)
    assert response.status_code == 400
    assert response.json.startswith(f"Bad Request - {field}: ")
    assert api.get("/retention").json == NONE


def test_retention_of_an_unknown_stream_returns_404(api, stream):
    api.put_schema({})
    for response in (api.put_retention(1), api.get("/retention"), api.client.delete(f"{api.path}/retention")):
        assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")


def test_only_owner_and_admins_may_set_retention(api, delete_due):
    api.append_events(3)
    for other in (api.as_user("bob"), api.as_user("bob", "reader"), api.as_user(None)):
        response = other.put_retention(max_events=1)
        assert (response.status_code, response.json) == (403, FORBIDDEN)
        assert other.client.delete(f"{api.path}/retention", headers=other.identity).status_code == 403
    assert delete_due() == 0
    assert api.as_user("root", "admin").put_retention(max_events=1).status_code == 200


def test_only_admins_may_set_retention_of_the_streams_of_services(api_for, app):
    orders = api_for(app, "orders")
    assert orders.put_retention(1).status_code == 403
    assert orders.as_user(None).put_retention(1).status_code == 403
    assert orders.as_user("root", "admin").put_retention(1).status_code == 200


def test_first_events_are_deleted_and_positions_and_sequences_continue(api, an_event, delete_due):
    api.append([an_event(name) for name in "ABABAB"])
    api.put_retention(max_events=3)
    delete_due()
    assert api.positions() == [4, 5, 6]
    assert api.positions("from=2") == [4, 5, 6]
    assert api.positions("from=6") == [6]
    assert api.positions("before=100") == [6, 5, 4]
    assert api.sequences(name="A") == [3]
    state = api.get("").json
    assert (state["events"], state["position"]) == ({"A": 1, "B": 2}, 6)
    assert state["first_at"] == api.get("/events?from=4&limit=1").json[0]["received_at"]
    api.append([an_event("A"), an_event("C")])
    assert api.positions() == [4, 5, 6, 7, 8]
    delete_due()
    assert api.positions() == [6, 7, 8]


def test_events_are_deleted_when_they_are_too_old(api, db, delete_due, outbox):
    api.append_events(2)
    with db.transaction() as tx:
        tx.run("UPDATE events SET received_at = received_at - interval '3 days'")
    api.append_events(2)
    api.put_retention(max_age_days=3)
    assert delete_due(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert delete_due() == 1
    assert api.positions() == [3, 4]
    assert delete_due(in_days(2.9)) == 0
    assert delete_due(in_days(3.1)) == 1
    assert api.positions() == []
    # What is not published yet will be.
    assert len(outbox()) == 4


def test_stream_whose_events_are_all_deleted_continues(api, delete_due):
    api.append_events(3)
    api.put_retention(max_age_days=1)
    delete_due(in_days(2))
    state = api.get("").json
    assert (state["events"], state["position"], state["first_at"]) == ({"OrderPlaced": 0}, 3, None)
    assert api.read().json == []
    assert api.positions("before=9") == api.positions("from_time=2020-01-01T00:00:00Z") == []
    api.append_events()
    assert (api.positions(), api.sequences()) == ([4], [4])
    state = api.get("").json
    assert state["first_at"] and state["first_at"] <= state["last_at"]


def test_the_stricter_limit_applies(api, delete_due):
    api.append_events(5)
    api.put_retention(max_age_days=1, max_events=2)
    delete_due()
    assert api.positions() == [4, 5]
    delete_due(in_days(2))
    assert api.positions() == []


def test_changed_or_removed_retention_applies_from_the_next_batch(api, delete_due, monkeypatch):
    monkeypatch.setattr(retention, "MAX_DELETED_EVENTS", 2)
    api.append_events(10)
    api.put_retention(max_events=1)
    assert delete_due(max_batches=1) == 1
    api.put_retention(max_events=5)
    assert delete_due() == 2
    assert api.positions() == [6, 7, 8, 9, 10]
    api.put_retention()
    assert delete_due(in_days(10_000)) == 0


def test_streams_take_turns_so_that_a_large_one_does_not_delay_others(api, api_for, app, delete_due, monkeypatch):
    monkeypatch.setattr(retention, "MAX_DELETED_EVENTS", 2)
    other = api_for(app, f"{api.stream} other")
    for each, count in ((api, 40), (other, 3)):
        each.append_events(count)
        each.put_retention(max_events=1)
    delete_due(max_batches=4)
    assert other.positions() == [3]
    assert api.positions()[0] == 7


def test_acknowledgement_of_a_deleted_event_returns_404(api, delete_due):
    ids = api.append_events(3)
    api.put_retention(max_events=1)
    delete_due()
    for action in ("ACK", "NACK"):
        response = api.acknowledge(ids[0], action)
        assert (response.status_code, response.json) == (404, "Not Found")
    assert api.get(f"/events/{ids[0]}").status_code == 404
    assert api.client.get(f"/api/v1/events/{ids[1]}").status_code == 404
    assert api.acknowledge(ids[2]).status_code == 200


def test_consumer_that_was_behind_continues_at_the_first_event_left(api, delete_due):
    ids = api.append_events(10)
    api.acknowledge(ids[1], consumer="behind", upTo="1")
    api.acknowledge(ids[2], "NACK", consumer="behind", delay="3600")
    api.acknowledge(ids[7], consumer="ahead", upTo="1")
    api.acknowledge(ids[8], "NACK", consumer="ahead", delay="0")
    api.put_retention(max_events=4)
    delete_due()
    ahead, behind = api.consumers()
    assert (behind["offset"], behind["lag"], behind["missed"], behind["stuck"]) == (6, 4, 4, None)
    assert (ahead["offset"], ahead["stuck"]["nacks"]) == (8, 1)
    assert "missed" not in ahead
    assert api.sequences(consumer="behind") == [7, 8, 9, 10]
    assert api.sequences(consumer="ahead") == [9, 10]
    assert api.acknowledge(ids[6], consumer="behind").status_code == 200
    api.put_retention(max_events=1)
    delete_due()
    assert {state["consumer"]: state["missed"] for state in api.consumers()} == {"ahead": 1, "behind": 6}


def test_new_consumer_begins_at_the_first_event_left(api, delete_due):
    ids = api.append_events(5)
    api.put_retention(max_events=2)
    delete_due()
    assert api.sequences(consumer="new") == [4, 5]
    assert api.sequences(consumer="new", limit=1) == [4]
    assert api.acknowledge(ids[4], consumer="new").json == "Bad Request - Consumer offset mismatch: 3->5"
    assert api.acknowledge(ids[3], consumer="new").json == "OK"
    assert api.sequences(consumer="new") == [5]
    (state,) = api.consumers()
    assert "missed" not in state


def test_offset_that_is_set_to_deleted_events_becomes_that_of_the_first_one_left(api, delete_due):
    ids = api.append_events(5)
    api.put_retention(max_events=2)
    delete_due()
    api.acknowledge(ids[3])
    assert api.set_offset(0).status_code == 200
    assert api.sequences() == [4, 5]
    assert api.consumers()[0]["offset"] == 3


def test_parked_and_replayed_events_are_deleted_with_their_events(api, delete_due):
    ids = api.append_events(6)
    for event_id in ids[:4]:
        for _ in range(5):
            api.acknowledge(event_id, "NACK")
    api.replay(ids[0])
    api.replay(ids[3])
    api.put_retention(max_events=3)
    delete_due()
    assert api.parked()["total"] == 0
    assert api.sequences() == [4, 5, 6]
    assert api.replay(ids[1]).status_code == 404
    assert "missed" not in api.consumers()[0]


def test_idempotent_append_is_replayed_after_its_event_was_deleted(api, delete_due):
    response = api.append(Idempotency_Key="key")
    api.append_events()
    api.put_retention(max_events=1)
    delete_due()
    assert api.append(Idempotency_Key="key").json == response.json
    assert api.positions() == [2]


@pytest.mark.parametrize("name", ["OrderPlaced", "*"])
def test_live_stream_resumes_at_the_first_event_left(api, delete_due, name):
    api.append_events(5)
    api.put_retention(max_events=2)
    delete_due()
    response = api.client.get(f"{api.path}/live?eventName={name}&lastEventId=1")
    blocks = iter(response.response)
    received = b"".join(next(blocks) for _ in range(3))
    response.close()
    assert [line for line in received.splitlines() if line.startswith(b"id: ")] == [b"id: 1", b"id: 4", b"id: 5"]
