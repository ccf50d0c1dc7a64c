"""Nobody acts for another: streams and consumers belong to the user whose credential was there first."""

import secrets

import pytest

from quintet_e2e.clients import Client, all_at_once, done
from quintet_e2e.streams import body, events_of, path_of

WRITERS, REQUESTS, ROUNDS = 4, 20, 5
LOCKED = (423, "Locked - Second writers not allowed")
FORBIDDEN = (403, "Forbidden - the consumer belongs to another user")
PRODUCER, CONSUMER = {"X-Producer-ID": "one"}, {"X-Consumer-ID": "mailer"}


@pytest.fixture
def writers(stack):
    names = [f"writer-{secrets.token_hex(4)}" for _ in range(WRITERS)]
    clients = [Client(stack, name, stack.add_user(name, "writer")) for name in names]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def stream():
    return f"owned {secrets.token_hex(4)}"


def append(client, stream):
    return outcome(client.post(f"{path_of(stream)}/events", json=body(), headers=PRODUCER))


def settle(client, stream, event_id, action="ACK"):
    return outcome(client.post(f"{path_of(stream)}/events/{event_id}", data={"action": action}, headers=CONSUMER))


def outcome(answer):
    return answer.status_code, answer.json()


def name_of(client):
    return client.credentials[0]


def test_of_several_users_with_one_producer_id_one_owns_the_stream(writers):
    for _ in range(ROUNDS):
        stream = f"owned {secrets.token_hex(4)}"
        answers = all_at_once(REQUESTS, lambda n, stream=stream: append(writers[n % WRITERS], stream))
        (owner,) = {n % WRITERS for n, (status, _) in enumerate(answers) if status == 200}
        assert [answer for n, answer in enumerate(answers) if n % WRITERS != owner] == [LOCKED] * 15
        assert [event["user"] for event in events_of(writers[0], stream)] == [name_of(writers[owner])] * 5


def test_of_several_users_one_owns_a_consumer_and_all_may_read(writers, stream):
    append(writers[0], stream)
    (event,) = events_of(writers[0], stream)
    id_ = event["event"]["id"]
    answers = all_at_once(REQUESTS, lambda n: settle(writers[n % WRITERS], stream, id_))
    (owner,) = {n % WRITERS for n, (status, _) in enumerate(answers) if status == 200}
    assert [answer for n, answer in enumerate(answers) if n % WRITERS != owner] == [FORBIDDEN] * 15
    page = f"{path_of(stream)}/events?eventName=OrderPlaced&limit=1"
    assert all(done(writer.get(page, headers=CONSUMER)) == [] for writer in writers)


def test_an_admin_may_act_for_the_owner(client, writers, stream):
    ann, bob = writers[:2]
    event_id = append(ann, stream)[1]
    schema = f"{path_of(stream)}/schemas/OrderPlaced/1"
    assert settle(ann, stream, event_id, "NACK") == (200, "OK")
    assert bob.put(schema, json={}).status_code == 403
    assert append(client, stream)[0] == 200
    assert settle(client, stream, event_id) == (200, "OK")
    assert outcome(client.put(schema, json={})) == (200, "OK")
    assert append(bob, stream) == LOCKED
    assert append(ann, stream)[0] == 200
    assert [event["user"] for event in events_of(bob, stream)] == [name_of(each) for each in (ann, client, ann)]
