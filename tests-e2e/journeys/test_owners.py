"""Streams and consumers belong to the user who first used them; only an administrator can act for the owner."""

import secrets

import pytest

from quintet_e2e.clients import Client, ok_json, run_concurrently
from quintet_e2e.streams import event_body, read_events, stream_path

pytestmark = pytest.mark.slow

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
    return result_of(client.post(f"{stream_path(stream)}/events", json=event_body(), headers=PRODUCER))


def acknowledge(client, stream, event_id, action="ACK"):
    return result_of(client.post(f"{stream_path(stream)}/events/{event_id}", data={"action": action}, headers=CONSUMER))


def result_of(response):
    return response.status_code, response.json()


def user_name(client):
    return client.credentials[0]


def test_first_of_several_users_with_same_producer_id_owns_stream(writers):
    for _ in range(ROUNDS):
        stream = f"owned {secrets.token_hex(4)}"
        responses = run_concurrently(REQUESTS, lambda n, stream=stream: append(writers[n % WRITERS], stream))
        (owner,) = {n % WRITERS for n, (status, _) in enumerate(responses) if status == 200}
        assert [response for n, response in enumerate(responses) if n % WRITERS != owner] == [LOCKED] * 15
        assert [event["user"] for event in read_events(writers[0], stream)] == [user_name(writers[owner])] * 5


def test_first_of_several_users_owns_consumer_and_all_may_read(writers, stream):
    append(writers[0], stream)
    (event,) = read_events(writers[0], stream)
    event_id = event["event"]["id"]
    responses = run_concurrently(REQUESTS, lambda n: acknowledge(writers[n % WRITERS], stream, event_id))
    (owner,) = {n % WRITERS for n, (status, _) in enumerate(responses) if status == 200}
    assert [response for n, response in enumerate(responses) if n % WRITERS != owner] == [FORBIDDEN] * 15
    page = f"{stream_path(stream)}/events?eventName=OrderPlaced&limit=1"
    assert all(ok_json(writer.get(page, headers=CONSUMER)) == [] for writer in writers)


def test_admin_may_act_for_owner(client, writers, stream):
    ann, bob = writers[:2]
    event_id = append(ann, stream)[1]
    schema = f"{stream_path(stream)}/schemas/OrderPlaced/1"
    assert acknowledge(ann, stream, event_id, "NACK") == (200, "OK")
    assert bob.put(schema, json={}).status_code == 403
    assert append(client, stream)[0] == 200
    assert acknowledge(client, stream, event_id) == (200, "OK")
    assert result_of(client.put(schema, json={})) == (200, "OK")
    assert append(bob, stream) == LOCKED
    assert append(ann, stream)[0] == 200
    assert [event["user"] for event in read_events(bob, stream)] == [user_name(user) for user in (ann, client, ann)]
