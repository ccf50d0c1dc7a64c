"""A consumer belongs to the user that first acknowledged an event for it or set its offset."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from event_service.domain.ownership import Caller
from event_service.operations import consumers, consuming

FORBIDDEN = (403, "Forbidden - the consumer belongs to another user")

CLAIMING_REQUESTS = {
    "ACK": lambda api, ids: api.acknowledge(ids[0]),
    "ACK up to": lambda api, ids: api.acknowledge(ids[1], upTo="1"),
    "NACK": lambda api, ids: api.acknowledge(ids[0], "NACK", reason="no"),
    "offset": lambda api, ids: api.set_offset(1),
    "offset at the end": lambda api, ids: api.set_offset("end"),
    "lease": lambda api, ids: api.read(lease=60),
}
CLAIMS = pytest.mark.parametrize("claim", CLAIMING_REQUESTS.values(), ids=CLAIMING_REQUESTS)


def outcome(response):
    return response.status_code, response.json


@pytest.fixture
def park(api):
    """Return a function that sends NACKs for an event until it is parked."""

    def park(event_id):
        for _ in range(5):
            api.acknowledge(event_id, "NACK")

    return park


@CLAIMS
@pytest.mark.parametrize("send", CLAIMING_REQUESTS.values(), ids=CLAIMING_REQUESTS)
def test_first_user_owns_the_consumer_and_other_users_change_nothing(api, claim, send):
    ids = api.append_events(3)
    assert claim(api, ids).status_code == 200
    before = api.consumers(), api.read().json
    for other in (api.as_user("bob"), api.as_user(None)):
        assert outcome(send(other, ids)) == FORBIDDEN
    assert send(api.as_user("bob", "reader"), ids).status_code == 403
    assert (api.consumers(), api.read().json) == before


@CLAIMS
def test_ownership_covers_all_names_of_the_stream_but_no_other_stream(api, api_for, app, an_event, claim):
    ids = api.append_events(3)
    other_name = api.append(an_event("Other")).json
    claim(api, ids)
    bob = api.as_user("bob")
    assert outcome(bob.acknowledge(other_name)) == FORBIDDEN
    assert outcome(bob.set_offset(1, name="Other")) == FORBIDDEN
    assert bob.acknowledge(ids[0], consumer="another").status_code == 200
    other_stream = api_for(app, f"{api.stream} 2")
    (id_,) = other_stream.append_events()
    assert other_stream.as_user("bob").acknowledge(id_).status_code == 200


def test_only_the_owner_replays_parked_events_and_deletes_the_consumer(api, park):
    ids = api.append_events(2)
    park(ids[0])
    for other in (api.as_user("bob"), api.as_user(None)):
        assert outcome(other.replay(ids[0])) == FORBIDDEN
        assert outcome(other.replay_all()) == FORBIDDEN
        assert outcome(other.delete_consumer()) == FORBIDDEN
    assert (api.sequences(), api.parked()["total"]) == ([2], 1)
    assert api.replay(ids[0]).json == "OK"
    assert api.sequences() == [1, 2]


def test_deletion_waits_for_a_claim_in_progress_of_another_user(api, db, is_waiting, eventually):
    ids = api.append_events(2)
    now, ann = datetime.now(UTC), Caller("ann")
    with ThreadPoolExecutor(1) as pool:
        with db.transaction() as tx:
            consuming.acknowledge(tx, api.stream, ids[0], "consumer", ann, up_to=False, now=now)
            deletion = pool.submit(api.as_user("bob").delete_consumer)
            eventually(lambda: deletion.done() or is_waiting())
        assert outcome(deletion.result()) == FORBIDDEN
    assert api.consumers()[0]["offset"] == 1
    assert outcome(api.as_user("bob").acknowledge(ids[1])) == FORBIDDEN


@CLAIMS
def test_request_that_waits_for_the_deletion_of_its_consumer_claims_it_again(api, db, is_waiting, eventually, claim):
    ids = api.append_events(3)
    claim(api, ids)
    # Otherwise no event could be leased.
    api.append_events(1)
    with ThreadPoolExecutor(1) as pool:
        with db.transaction() as tx:
            consumers.delete_consumer(tx, api.stream, "consumer", Caller("ann"))
            response = pool.submit(claim, api, ids)
            eventually(is_waiting)
        assert response.result().status_code == 200
    assert len(api.consumers()) == 1
    assert outcome(api.as_user("bob").set_offset(0)) == FORBIDDEN


def test_request_that_waits_for_the_deletion_of_its_consumer_changes_nothing_of_the_next_owner(
    api, db, is_waiting, eventually
):
    ids = api.append_events(2)
    api.acknowledge(ids[0])
    now, bob = datetime.now(UTC), Caller("bob")
    with ThreadPoolExecutor(1) as pool:
        with db.transaction() as tx:
            consumers.delete_consumer(tx, api.stream, "consumer", Caller("ann"))
            response = pool.submit(api.acknowledge, ids[1])
            eventually(is_waiting)
            consuming.acknowledge(tx, api.stream, ids[0], "consumer", bob, up_to=False, now=now)
        assert outcome(response.result()) == FORBIDDEN
    assert api.consumers()[0]["offset"] == 1


def test_deletion_waits_for_an_offset_that_is_being_created(api, an_event, db, is_waiting, eventually):
    (id_,), other_id = api.append_events(), api.append(an_event("Other")).json
    api.acknowledge(id_)
    now = datetime.now(UTC)
    with ThreadPoolExecutor(1) as pool:
        with db.transaction() as tx:
            consuming.acknowledge(tx, api.stream, other_id, "consumer", Caller("ann"), up_to=False, now=now)
            deletion = pool.submit(api.delete_consumer)
            eventually(is_waiting)
        assert deletion.result().status_code == 204
    assert api.consumers() == []


@pytest.mark.parametrize("send", CLAIMING_REQUESTS.values(), ids=CLAIMING_REQUESTS)
def test_admin_may_send_all_requests_without_becoming_the_owner(api, send):
    ids = api.append_events(3)
    api.acknowledge(ids[0])
    api.set_offset(0)
    assert send(api.as_user("root", "admin"), ids).status_code == 200
    assert outcome(api.as_user("root").acknowledge(ids[0])) == FORBIDDEN
    assert api.set_offset(3).status_code == 200


def test_admin_replays_parked_events_and_deletes_the_consumer(api, park):
    ids = api.append_events(3)
    park(ids[0])
    park(ids[1])
    admin = api.as_user("root", "admin")
    assert admin.replay(ids[0]).json == "OK"
    assert api.sequences() == [1, 3]
    assert admin.replay_all().json == "OK"
    assert api.sequences() == [1, 2, 3]
    assert admin.delete_consumer().status_code == 204
    assert api.consumers() == []


def test_waiting_for_leases_of_another_user_is_rejected_even_if_none_is_available(api):
    api.append_events(1)
    api.lease()
    assert outcome(api.as_user("bob").read(lease=60, wait=5)) == FORBIDDEN
    api.set_offset("end")
    assert outcome(api.as_user("bob").read(lease=60)) == FORBIDDEN


def test_role_reader_leases_nothing_and_claims_nothing(api):
    api.append_events(1)
    response = api.as_user("bob", "reader").read(lease=60)
    assert response.status_code == 403
    assert response.json.startswith("Forbidden - leases require the role writer or admin")
    assert api.lease() == [1]


@CLAIMS
def test_admin_owns_the_consumer_that_it_acknowledges_first(api, claim):
    ids = api.append_events(3)
    claim(api.as_user("root", "admin"), ids)
    assert outcome(api.acknowledge(ids[0])) == FORBIDDEN
    assert api.as_user("root").set_offset(0).status_code == 200


def test_every_user_may_read_and_reading_claims_nothing(api):
    ids = api.append_events(2)
    bob = api.as_user("bob", "reader")
    assert [event["sequence"] for event in bob.read().json] == [1, 2]
    api.acknowledge(ids[0])
    assert [event["sequence"] for event in bob.read().json] == [2]
    assert bob.parked()["total"] == 0
    assert len(bob.consumers()) == 1
    assert api.acknowledge(ids[1]).status_code == 200


FAILING_REQUESTS = {
    "ACK out of order": lambda api, ids: api.acknowledge(ids[2]),
    "NACK out of order": lambda api, ids: api.acknowledge(ids[2], "NACK"),
    "unknown event": lambda api, ids: api.acknowledge("00000000-0000-0000-0000-000000000000"),
    "unknown action": lambda api, ids: api.acknowledge(ids[0], "nonsense"),
    "offset after the last event": lambda api, ids: api.set_offset(9),
    "offset of an unknown name": lambda api, ids: api.set_offset(0, name="Other"),
    "replay of an event that is not parked": lambda api, ids: api.replay(ids[0]),
    "invalid lease": lambda api, ids: api.read(lease=0),
    "name of another event": lambda api, ids: api.acknowledge(ids[0], eventName="Other"),
    "offset at an invalid time": lambda api, ids: api.set_offset({"time": "now"}),
}


@pytest.mark.parametrize("send", FAILING_REQUESTS.values(), ids=FAILING_REQUESTS)
def test_failed_request_claims_nothing(api, send):
    ids = api.append_events(3)
    assert send(api.as_user("bob"), ids).status_code in (400, 404)
    assert api.acknowledge(ids[0]).status_code == 200
    assert api.as_user("bob").acknowledge(ids[1]).status_code == 403


@CLAIMS
def test_unowned_consumer_belongs_to_the_first_user(api, db, claim):
    ids = api.append_events(3)
    api.acknowledge(ids[0])
    api.set_offset(0)
    with db.transaction() as tx:
        tx.run("DELETE FROM consumers")
    assert claim(api.as_user("bob"), ids).status_code == 200
    assert outcome(api.set_offset(0)) == FORBIDDEN


def test_replaying_an_event_of_an_unowned_consumer_claims_nothing(api, db, park):
    ids = api.append_events(2)
    park(ids[0])
    with db.transaction() as tx:
        tx.run("DELETE FROM consumers")
    assert api.as_user("bob").replay(ids[0]).json == "OK"
    assert api.acknowledge(ids[0]).json == "OK"
    assert outcome(api.as_user("bob").acknowledge(ids[1])) == FORBIDDEN


def test_acknowledgement_without_a_user_claims_nothing(api):
    ids = api.append_events(2)
    assert api.as_user(None).acknowledge(ids[0]).status_code == 200
    assert api.as_user("bob").acknowledge(ids[1]).status_code == 200


def test_consumers_of_streams_of_services_have_owners_too(api_for, app, an_event, db):
    from chassis.messaging.message_processor import Delivery
    from event_service.handlers import handlers_for

    (consumer,) = handlers_for(app.settings).values()
    id_ = "11111111-1111-4111-8111-111111111111"
    with db.transaction() as tx:
        consumer.handler(tx, Delivery("event.append", id_, "A", "orders", "r", {}, an_event("A")))
    orders = api_for(app, "orders")
    assert orders.acknowledge(id_).status_code == 200
    assert outcome(orders.as_user("bob").set_offset(0, name="A")) == FORBIDDEN


def test_response_to_a_key_is_not_replayed_to_another_user(api):
    (id_,) = api.append_events()

    def nack(api):
        headers = {**api.identity, "X-Consumer-ID": "consumer", "Idempotency-Key": "key"}
        return api.client.post(f"{api.path}/events/{id_}", data={"action": "NACK"}, headers=headers)

    assert [outcome(nack(api)) for _ in range(2)] == [(200, "OK")] * 2
    assert outcome(nack(api.as_user("bob"))) == FORBIDDEN
    assert api.consumers()[0]["stuck"]["nacks"] == 1
