"""A stream belongs to the user whose credential appended its first event."""

import json

import pytest

from event_service.app import create_app

LOCKED = (423, "Locked - Second writers not allowed")
WAYS = [{}, {"X_Expected_Position": "1"}, {"Idempotency_Key": "key"}]


@pytest.fixture
def forget_owners(db):
    """Make everything as it was stored before there were owners."""

    def forget():
        with db.transaction() as tx:
            tx.run("UPDATE streams SET owner = NULL")
            tx.run("UPDATE events SET username = NULL")
            tx.run("DELETE FROM consumers")

    return forget


def users(api):
    return [event["user"] for event in api.read().json]


def outcome(response):
    return response.status_code, response.json


@pytest.mark.parametrize("how", WAYS)
def test_another_user_is_locked_out_even_with_the_same_producer_id(api, how):
    api.append()
    assert outcome(api.by("bob").append(**how)) == LOCKED
    assert outcome(api.by(None).append(**how)) == LOCKED
    assert users(api) == ["ann"]
    assert api.append(**how).status_code == 200


def test_the_owner_with_another_producer_id_is_locked_out(api):
    api.append()
    assert outcome(api.append(producer="another")) == LOCKED


def test_a_malformed_append_of_another_user_is_a_bad_request(api):
    api.append()
    assert api.by("bob").append({}).status_code == 400


def test_another_user_is_rejected_before_another_position(api):
    api.append()
    assert outcome(api.by("bob").append(X_Expected_Position="9")) == LOCKED


@pytest.mark.parametrize("how", WAYS)
def test_an_admin_appends_with_the_producer_id_of_the_stream_and_changes_no_owner(api, how):
    api.append()
    admin = api.by("root", "admin")
    assert outcome(admin.append(producer="another", **how)) == LOCKED
    assert admin.append(**how).status_code == 200
    assert outcome(api.by("root").append()) == LOCKED
    assert api.append().status_code == 200
    assert users(api) == ["ann", "root", "ann"]


def test_an_admin_owns_the_stream_that_it_creates(api):
    api.by("root", "admin").append()
    assert outcome(api.append()) == LOCKED
    assert api.by("root").append().status_code == 200


@pytest.mark.parametrize("how", WAYS)
def test_a_stream_without_an_owner_gets_the_first_user_with_its_producer_id(api, forget_owners, how):
    api.append()
    forget_owners()
    assert outcome(api.append(producer="another", **how)) == LOCKED
    assert api.by("bob").append(**how).status_code == 200
    assert outcome(api.append()) == LOCKED
    assert users(api) == [None, "bob"]


def test_an_append_without_a_user_claims_nothing(api):
    assert api.by(None).append().status_code == 200
    assert api.append().status_code == 200
    assert outcome(api.by(None).append()) == LOCKED
    assert users(api) == [None, "ann"]


def test_a_rejected_append_claims_nothing(api, forget_owners):
    api.append()
    forget_owners()
    assert api.by("bob").append(X_Expected_Position="7").status_code == 409
    assert api.by("bob").append({}).status_code == 400
    assert api.append().status_code == 200


def test_a_key_is_replayed_to_its_user_and_locks_others_out(api):
    first = api.append(Idempotency_Key="key")
    again = api.append(Idempotency_Key="key")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")
    assert outcome(api.by("bob").append(Idempotency_Key="key")) == LOCKED
    assert users(api) == ["ann"]


def test_a_batch_of_events_records_the_user_of_each(api, an_event):
    api.append([an_event(name) for name in ("A", "B", *["A"] * 150)])
    page = api.client.get(f"{api.path}/events?from=1&limit=1000").json
    assert [event["user"] for event in page] == ["ann"] * 152


def test_every_way_to_read_returns_the_user_in_its_place(api):
    ids = api.appended(2)
    single = api.append().json
    for id_ in [ids[0]] * 5:
        api.settle(id_, "NACK")
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
def test_the_setting_names_the_reserved_streams(settings, api_of, db, name):
    app = create_app(settings.model_copy(update={"reserved_streams": "orders,shipping"}))
    assert outcome(api_of(app, "shipping").append(producer="shipping")) == LOCKED
    assert outcome(api_of(app, "shipping").put_schema({})) == LOCKED
    assert (api_of(app, name).append(producer=name).status_code == 200) is (name == "sequence")
