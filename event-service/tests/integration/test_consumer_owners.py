"""A consumer belongs to the user that first acknowledged or positioned it."""

import pytest

FORBIDDEN = (403, "Forbidden - the consumer belongs to another user")

ACTS = {
    "ACK": lambda api, ids: api.settle(ids[0]),
    "ACK up to": lambda api, ids: api.settle(ids[1], upTo="1"),
    "NACK": lambda api, ids: api.settle(ids[0], "NACK", reason="no"),
    "offset": lambda api, ids: api.set_offset(1),
}
CLAIMS = pytest.mark.parametrize("claim", ACTS.values(), ids=ACTS)


def outcome(response):
    return response.status_code, response.json


@pytest.fixture
def park(api):
    def park(event_id):
        for _ in range(5):
            api.settle(event_id, "NACK")

    return park


@CLAIMS
@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_who_acts_first_owns_it_and_another_user_changes_nothing(api, claim, act):
    ids = api.appended(3)
    assert claim(api, ids).status_code == 200
    before = api.consumers(), api.read().json
    for other in (api.by("bob"), api.by("bob", "reader"), api.by(None)):
        assert outcome(act(other, ids)) == FORBIDDEN
    assert (api.consumers(), api.read().json) == before


@CLAIMS
def test_it_is_owned_for_every_name_of_the_stream_and_in_no_other_stream(api, api_of, app, an_event, claim):
    ids = api.appended(3)
    other_name = api.append(an_event("Other")).json
    claim(api, ids)
    bob = api.by("bob")
    assert outcome(bob.settle(other_name)) == FORBIDDEN
    assert outcome(bob.set_offset(1, name="Other")) == FORBIDDEN
    assert bob.settle(ids[0], consumer="another").status_code == 200
    elsewhere = api_of(app, f"{api.stream} elsewhere")
    (id_,) = elsewhere.appended()
    assert elsewhere.by("bob").settle(id_).status_code == 200


def test_only_the_owner_replays_a_parked_event(api, park):
    ids = api.appended(2)
    park(ids[0])
    for other in (api.by("bob"), api.by(None)):
        assert outcome(other.replay(ids[0])) == FORBIDDEN
    assert (api.sequences(), api.parked()["total"]) == ([2], 1)
    assert api.replay(ids[0]).json == "OK"
    assert api.sequences() == [1, 2]


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_an_admin_may_do_all_of_it_and_becomes_no_owner(api, act):
    ids = api.appended(3)
    api.settle(ids[0])
    api.set_offset(0)
    assert act(api.by("root", "admin"), ids).status_code == 200
    assert outcome(api.by("root").settle(ids[0])) == FORBIDDEN
    assert api.set_offset(3).status_code == 200


def test_an_admin_replays_a_parked_event(api, park):
    ids = api.appended(2)
    park(ids[0])
    assert api.by("root", "admin").replay(ids[0]).json == "OK"
    assert api.sequences() == [1, 2]


@CLAIMS
def test_an_admin_owns_the_consumer_that_it_acts_for_first(api, claim):
    ids = api.appended(3)
    claim(api.by("root", "admin"), ids)
    assert outcome(api.settle(ids[0])) == FORBIDDEN
    assert api.by("root").set_offset(0).status_code == 200


def test_reading_is_open_to_everybody_and_claims_nothing(api):
    ids = api.appended(2)
    bob = api.by("bob", "reader")
    assert [event["sequence"] for event in bob.read().json] == [1, 2]
    api.settle(ids[0])
    assert [event["sequence"] for event in bob.read().json] == [2]
    assert bob.parked()["total"] == 0
    assert len(bob.consumers()) == 1
    assert api.settle(ids[1]).status_code == 200


@pytest.mark.parametrize(
    "act",
    [
        lambda api, ids: api.settle(ids[2]),
        lambda api, ids: api.settle(ids[2], "NACK"),
        lambda api, ids: api.settle("00000000-0000-0000-0000-000000000000"),
        lambda api, ids: api.settle(ids[0], "nonsense"),
        lambda api, ids: api.set_offset(9),
        lambda api, ids: api.set_offset(0, name="Other"),
        lambda api, ids: api.replay(ids[0]),
    ],
)
def test_a_request_that_fails_claims_nothing(api, act):
    ids = api.appended(3)
    assert act(api.by("bob"), ids).status_code in (400, 404)
    assert api.settle(ids[0]).status_code == 200
    assert api.by("bob").settle(ids[1]).status_code == 403


@CLAIMS
def test_a_consumer_without_an_owner_belongs_to_who_acts_first(api, db, claim):
    ids = api.appended(3)
    api.settle(ids[0])
    api.set_offset(0)
    with db.transaction() as tx:
        tx.run("DELETE FROM consumers")
    assert claim(api.by("bob"), ids).status_code == 200
    assert outcome(api.set_offset(0)) == FORBIDDEN


def test_replaying_an_event_of_a_consumer_without_an_owner_claims_nothing(api, db, park):
    ids = api.appended(2)
    park(ids[0])
    with db.transaction() as tx:
        tx.run("DELETE FROM consumers")
    assert api.by("bob").replay(ids[0]).json == "OK"
    assert api.settle(ids[0]).json == "OK"
    assert outcome(api.by("bob").settle(ids[1])) == FORBIDDEN


def test_an_acknowledgement_without_a_user_claims_nothing(api):
    ids = api.appended(2)
    assert api.by(None).settle(ids[0]).status_code == 200
    assert api.by("bob").settle(ids[1]).status_code == 200


def test_consumers_of_the_streams_of_services_have_owners_too(api_of, app, an_event, db):
    from chassis.messaging.message_processor import Delivery
    from event_service.handlers import handlers_for

    (consumption,) = handlers_for(app.settings).values()
    id_ = "11111111-1111-4111-8111-111111111111"
    with db.transaction() as tx:
        consumption.handler(tx, Delivery("event.append", id_, "A", "orders", "r", {}, an_event("A")))
    orders = api_of(app, "orders")
    assert orders.settle(id_).status_code == 200
    assert outcome(orders.by("bob").set_offset(0, name="A")) == FORBIDDEN


def test_a_key_of_another_user_replays_nothing(api):
    (id_,) = api.appended()

    def nack(api):
        headers = {**api.identity, "X-Consumer-ID": "consumer", "Idempotency-Key": "key"}
        return api.client.post(f"{api.path}/events/{id_}", data={"action": "NACK"}, headers=headers)

    assert [outcome(nack(api)) for _ in range(2)] == [(200, "OK")] * 2
    assert outcome(nack(api.by("bob"))) == FORBIDDEN
    assert api.consumers()[0]["stuck"]["nacks"] == 1
