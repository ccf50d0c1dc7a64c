"""Users come, go and change their roles while everything runs."""

import secrets

import pytest

from quintet_e2e.clients import Client, answered, crowd, done
from quintet_e2e.streams import body, events_of, path_of
from quintet_local.testing import eventually

OUT_WITHIN = 10
NUMBERS = ["sequence", "batch-sequence", "image-sequence", "json-sequence"]


@pytest.fixture
def user(stack):
    """Adds one of that role."""
    added = []

    def add(role):
        name = f"{role}-{secrets.token_hex(4)}"
        known = Client(stack, name, stack.add_user(name, role))
        added.append(known)
        return known

    yield add
    for known in added:
        known.close()


def status(client, method, path, **more):
    return client.send(method, path, **more).status_code


def status_while_reloading(client):
    """A reload closes connections that nobody uses at the moment; who sends at that moment sends again."""
    return answered(lambda: client.get("/sequence")).status_code


def test_a_reader_reads_and_neither_writes_nor_draws(client, user):
    reader = user("reader")
    stream = f"readable {secrets.token_hex(4)}"
    path = f"{path_of(stream)}/events"
    event_id = done(client.post(path, json=body(), headers={"X-Producer-ID": "one"}))
    before = done(client.get("/sequences"))
    assert {status(reader, "GET", f"/{name}") for name in NUMBERS * 3} == {403}
    assert done(reader.get("/sequences")) == before
    assert events_of(reader, stream)[0]["event"]["id"] == event_id
    assert status(reader, "POST", path, json=body(), headers={"X-Producer-ID": "one"}) == 403
    assert status(reader, "POST", f"{path}/{event_id}", data={"action": "ACK"}) == 403
    assert status(reader, "POST", "/sequences/sequence/next") == 403
    assert status(reader, "PUT", "/sequences/mine", json={"minimum": 1, "maximum": 2}) == 403
    assert status(reader, "DELETE", "/sequences/mine") == 403
    assert status(reader, "GET", "/invariants") == 403
    assert len(events_of(client, stream)) == 1


def test_a_writer_draws_and_writes_and_is_no_administrator(user):
    writer = user("writer")
    assert len(done(writer.get("/sequence?n=2"))["sequence_list"]) == 2
    stream = f"writable {secrets.token_hex(4)}"
    done(writer.post(f"{path_of(stream)}/events", json=body(), headers={"X-Producer-ID": "one"}))
    assert status(writer, "GET", "/invariants") == 403


def test_who_is_removed_is_out_within_ten_seconds_and_nobody_else(stack, client, user):
    leaving, staying = user("writer"), user("writer")

    def go_on(_):
        assert status_while_reloading(staying) == 200

    with crowd(4, go_on):
        stack.remove_user(leaving.credentials[0])
        eventually(lambda: status_while_reloading(leaving) == 401, OUT_WITHIN)
        # Only a few: from the tenth wrong password on, the gateway says 429.
        assert [status_while_reloading(leaving) for _ in range(3)] == [401] * 3
        stack.add_user(leaving.credentials[0], "writer")
        assert status_while_reloading(leaving) == 401, "it has another password"
    assert status_while_reloading(client) == 200
