"""A stream belongs to the user whose credential appended its first event."""

import json

import pytest

from event_service.app import create_app

LOCKED = (423, "Locked - Second writers not allowed")
APPEND_HEADERS = [{}, {"X_Expected_Position": "1"}, {"Idempotency_Key": "key"}]


@pytest.fixture
def remove_owners(db):
    """Return a function that removes all owners, as in data of earlier versions."""

    def remove():
        with db.transaction() as tx:
            tx.run("UPDATE streams SET owner = NULL")
            tx.run("UPDATE events SET username = NULL")
            tx.run("DELETE FROM consumers")

    return remove


def users(api):
    return [event["user"] for event in api.read().json]


def outcome(response):
    return response.status_code, response.json


@pytest.mark.parametrize("headers", APPEND_HEADERS)
def test_other_user_is_locked_out_even_with_the_same_producer_id(api, headers):
    api.append()
    assert outcome(api.as_user("bob").append(**headers)) == LOCKED
    assert outcome(api.as_user(None).append(**headers)) == LOCKED
    assert users(api) == ["ann"]
    assert api.append(**headers).status_code == 200


def test_owner_with_another_producer_id_is_locked_out(api):
    api.append()
    assert outcome(api.append(producer="another")) == LOCKED


def test_malformed_append_of_another_user_returns_400(api):
    api.append()
    assert api.as_user("bob").append({}).status_code == 400


def test_ownership_is_checked_before_the_expected_position(api):
    api.append()
    assert outcome(api.as_user("bob").append(X_Expected_Position="9")) == LOCKED


@pytest.mark.parametrize("headers", APPEND_HEADERS)
def test_admin_appends_with_the_producer_id_of_the_stream_and_keeps_its_owner(api, headers):
    api.append()
    admin = api.as_user("root", "admin")
    assert outcome(admin.append(producer="another", **headers)) == LOCKED
    assert admin.append(**headers).status_code == 200
    assert outcome(api.as_user("root").append()) == LOCKED
    assert api.append().status_code == 200
    assert users(api) == ["ann", "root", "ann"]


def test_admin_owns_the_stream_that_it_creates(api):
    api.as_user("root", "admin").append()
    assert outcome(api.append()) == LOCKED
    assert api.as_user("root").append().status_code == 200


@pytest.mark.parametrize("headers", APPEND_HEADERS)
def test_unowned_stream_belongs_to_the_first_user_with_its_producer_id(api, remove_owners, headers):
    api.append()
    remove_owners()
    assert outcome(api.append(producer="another", **headers)) == LOCKED
    assert api.as_user("bob").append(**headers).status_code == 200
    assert outcome(api.append()) == LOCKED
    assert users(api) == [None, "bob"]


def test_append_without_a_user_claims_nothing(api):
    assert api.as_user(None).append().status_code == 200
    assert api.append().status_code == 200
    assert outcome(api.as_user(None).append()) == LOCKED
    assert users(api) == [None, "ann"]


def test_rejected_append_claims_nothing(api, remove_owners):
    api.append()
    remove_owners()
    assert api.as_user("bob").append(X_Expected_Position="7").status_code == 409
    assert api.as_user("bob").append({}).status_code == 400
    assert api.append().status_code == 200


def test_response_to_a_key_is_replayed_only_to_its_user(api):
    first = api.append(Idempotency_Key="key")
    retried = api.append(Idempotency_Key="key")
    assert (retried.json, retried.headers["Idempotent-Replayed"]) == (first.json, "true")
    assert outcome(api.as_user("bob").append(Idempotency_Key="key")) == LOCKED
    assert users(api) == ["ann"]


def test_batch_records_the_user_of_each_event(api, an_event):
    api.append([an_event(name) for name in ("A", "B", *["A"] * 150)])
    page = api.client.get(f"{api.path}/events?from=1&limit=1000").json
    assert [event["user"] for event in page] == ["ann"] * 152


def test_every_endpoint_returns_the_user_in_the_same_field_order(api):
    ids = api.append_events(2)
    single = api.append().json
    for id_ in [ids[0]] * 5:
        api.acknowledge(id_, "NACK")
    with api.client.get(f"{api.path}/live?eventName=*", headers={"Last-Event-ID": "0"}) as live:
        chunks = live.iter_encoded()
        assert next(chunks).startswith(b"retry")
        followed = [json.loads(next(chunks).split(b"data: ")[1]) for _ in range(3)]
    events = [
        *api.read(consumer="fresh").json,
        *api.client.get(f"{api.path}/events?from=1&limit=9").json,
        *(api.client.get(f"{api.path}/events/{id_}").json for id_ in (*ids, single)),
        *followed,
        *api.parked()["parked"],
    ]
    api.replay(ids[0])
    events += api.read().json
    assert len(events) == 3 + 3 + 3 + 3 + 1 + 3
    for event in events:
        assert event["user"] == "ann"
        order = ["stream", "sequence", "position", "producer", "user", "request_id", "received_at"]
        assert list(event)[4:11] == order


@pytest.mark.parametrize("name", ["sequence", "orders"])
def test_setting_defines_the_reserved_streams(settings, api_for, db, name):
    app = create_app(settings.model_copy(update={"reserved_streams": "orders,shipping"}))
    assert outcome(api_for(app, "shipping").append(producer="shipping")) == LOCKED
    assert outcome(api_for(app, "shipping").put_schema({})) == LOCKED
    assert (api_for(app, name).append(producer=name).status_code == 200) is (name == "sequence")
