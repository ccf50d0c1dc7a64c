"""Users come, go and change their roles while everything runs."""

import secrets
import time
from contextlib import suppress

import pytest
import requests

from quintet_e2e.clients import Client, answered, crowd, done
from quintet_e2e.streams import body, events_of, path_of
from quintet_testing.waiting import eventually

ENDED_WITHIN_SECONDS = 10
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
    """Send again if a reload closed the idle connection at that moment."""
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


def test_a_runner_sees_the_plan_and_reports_updates_and_nothing_else(user):
    runner = user("runner")
    assert status(runner, "GET", "/source/pipelines") == 200
    assert status(runner, "POST", "/source/update", json={"pipeline": "a/b/1", "event": "start"}) == 404
    for method, path in (("GET", "/sequences"), ("GET", "/sequence"), ("GET", "/health"), ("POST", "/source/upload")):
        assert status(runner, method, path) == 403


def test_removed_user_is_refused_at_once_and_nobody_else(stack, client, user):
    leaving, staying = user("writer"), user("writer")

    def continue_working(_):
        assert status_while_reloading(staying) == 200

    with crowd(4, continue_working):
        stack.remove_user(leaving.credentials[0])
        assert [status_while_reloading(leaving) for _ in range(20)] == [401] * 20
        new = Client(stack, leaving.credentials[0], stack.add_user(leaving.credentials[0], "writer"))
        assert status_while_reloading(leaving) == 401, "the password is a new one"
        eventually(lambda: status_while_reloading(new) == 200)
        new.close()
    assert status_while_reloading(client) == 200


def test_live_stream_of_a_removed_user_ends_within_ten_seconds(stack, client, user):
    follower = user("reader")
    stream = f"followed {secrets.token_hex(4)}"
    done(client.post(f"{path_of(stream)}/events", json=body(), headers={"X-Producer-ID": "one"}))
    live = follower.get(f"{path_of(stream)}/live?eventName=*", stream=True, headers={"Last-Event-ID": "0"})
    lines = live.iter_lines()
    assert live.status_code == 200 and next(lines)
    began = time.monotonic()
    stack.remove_user(follower.credentials[0])
    with suppress(requests.RequestException):
        for _ in lines:
            assert time.monotonic() - began < ENDED_WITHIN_SECONDS
    assert time.monotonic() - began < ENDED_WITHIN_SECONDS
    assert status_while_reloading(follower) == 401


def test_users_are_listed_and_the_administrator_stays(stack, user):
    reader, runner = user("reader").credentials[0], user("runner").credentials[0]
    listed = stack.command("users").splitlines()
    assert {f"{reader} reader", f"{runner} runner", f"{stack.user} admin"} <= set(listed)
    with pytest.raises(RuntimeError, match="ADMIN_USER or ADMIN_PASSWORD"):
        stack.remove_user(stack.user)
    assert stack.command("user", reader).startswith(f"replaced the password of {reader} (reader)")
    assert stack.command("users").splitlines() == listed
