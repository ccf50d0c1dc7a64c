"""Users are added and removed while the stack runs, and each role permits only its requests."""

import secrets
import time
from contextlib import suppress

import psutil
import pytest
import requests

from quintet_e2e.clients import Client, background_threads, ok_json, resend_if_disconnected
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_testing.waiting import eventually

# The gateway ends a stream of a removed user within ten seconds; the command and a busy machine take longer.
STREAM_END_SECONDS = 60
SEQUENCES = ["sequence", "batch-sequence", "image-sequence", "json-sequence"]


@pytest.fixture
def add_user(stack):
    """Return a function that adds a user with a role and returns its client."""
    clients = []

    def add(role):
        name = f"{role}-{secrets.token_hex(4)}"
        client = Client(stack, name, stack.add_user(name, role))
        clients.append(client)
        return client

    yield add
    for client in clients:
        client.close()


def status(client, method, path, **options):
    return client.send(method, path, **options).status_code


def status_during_reload(client):
    """Return the status; send the request again if a reload closed the connection."""
    return resend_if_disconnected(lambda: client.get("/sequence")).status_code


def test_reader_can_read_but_neither_write_nor_obtain_numbers(client, add_user):
    reader = add_user("reader")
    stream = f"readable {secrets.token_hex(4)}"
    path = f"{stream_path(stream)}/events"
    event_id = ok_json(client.post(path, json=event_body(), headers={"X-Producer-ID": "one"}))
    before = ok_json(client.get("/sequences"))
    assert {status(reader, "GET", f"/{name}") for name in SEQUENCES * 3} == {403}
    assert ok_json(reader.get("/sequences")) == before
    assert read_events(reader, stream)[0]["event"]["id"] == event_id
    assert status(reader, "POST", path, json=event_body(), headers={"X-Producer-ID": "one"}) == 403
    assert status(reader, "POST", f"{path}/{event_id}", data={"action": "ACK"}) == 403
    assert status(reader, "POST", "/sequences/sequence/next") == 403
    assert status(reader, "PUT", "/sequences/mine", json={"minimum": 1, "maximum": 2}) == 403
    assert status(reader, "DELETE", "/sequences/mine") == 403
    assert status(reader, "GET", "/invariants") == 403
    assert len(read_events(client, stream)) == 1


@pytest.mark.slow
def test_writer_can_write_and_obtain_numbers_but_not_administer(add_user):
    writer = add_user("writer")
    assert len(ok_json(writer.get("/sequence?n=2"))["sequence_list"]) == 2
    stream = f"writable {secrets.token_hex(4)}"
    ok_json(writer.post(f"{stream_path(stream)}/events", json=event_body(), headers={"X-Producer-ID": "one"}))
    assert status(writer, "GET", "/invariants") == 403


@pytest.mark.slow
def test_runner_can_only_read_plan_and_report_updates(add_user):
    runner = add_user("runner")
    assert status(runner, "GET", "/source/pipelines") == 200
    assert status(runner, "POST", "/source/update", json={"pipeline": "a/b/1", "event": "start"}) == 404
    for method, path in (("GET", "/sequences"), ("GET", "/sequence"), ("GET", "/health"), ("POST", "/source/upload")):
        assert status(runner, method, path) == 403


@pytest.mark.slow
def test_removed_user_is_rejected_immediately_and_others_are_unaffected(stack, client, add_user):
    removed, other = add_user("writer"), add_user("writer")

    def continue_working(_):
        assert status_during_reload(other) == 200

    with background_threads(4, continue_working):
        stack.remove_user(removed.credentials[0])
        assert [status_during_reload(removed) for _ in range(20)] == [401] * 20
        readded = Client(stack, removed.credentials[0], stack.add_user(removed.credentials[0], "writer"))
        assert status_during_reload(removed) == 401, "the old password must not be valid"
        eventually(lambda: status_during_reload(readded) == 200)
        readded.close()
    assert status_during_reload(client) == 200


@pytest.mark.slow
def test_live_stream_of_removed_user_ends(stack, client, add_user):
    follower = add_user("reader")
    stream = f"followed {secrets.token_hex(4)}"
    ok_json(client.post(f"{stream_path(stream)}/events", json=event_body(), headers={"X-Producer-ID": "one"}))
    live = follower.get(f"{stream_path(stream)}/live?eventName=*", stream=True, headers={"Last-Event-ID": "0"})
    lines = live.iter_lines()
    assert live.status_code == 200 and next(lines)
    removed_at = time.monotonic()
    stack.remove_user(follower.credentials[0])
    with suppress(requests.RequestException):
        for _ in lines:
            assert time.monotonic() - removed_at < STREAM_END_SECONDS
    assert time.monotonic() - removed_at < STREAM_END_SECONDS
    assert status_during_reload(follower) == 401


@pytest.mark.slow
def test_users_are_listed_and_administrator_cannot_be_removed(stack, add_user):
    reader, runner = add_user("reader").credentials[0], add_user("runner").credentials[0]
    lines = stack.run_command("users").splitlines()
    assert {f"{reader} reader", f"{runner} runner", f"{stack.user} admin"} <= set(lines)
    with pytest.raises(RuntimeError, match="ADMIN_USER or ADMIN_PASSWORD"):
        stack.remove_user(stack.user)
    assert stack.run_command("user", reader).startswith(f"replaced the password of {reader} (reader)")
    assert stack.run_command("users").splitlines() == lines


def test_gateway_that_crashes_after_a_change_of_users_restarts(stack, add_user):
    reader, processes = add_user("reader"), stack.processes("gateway")
    stack.kill("gateway")
    # Until its worker processes have noticed its end, they accept connections.
    eventually(lambda: all(map(has_ended, processes)))
    eventually(lambda: status(reader, "GET", "/sequences") == 200)


def has_ended(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
