"""Tokens of specstore-service: requested, renewed, and never the reason for a second effect. Both clients."""

import inspect
import json

import pytest

from quintet import Forbidden, Unauthorized

FLOW = b'{"flow_id": "ann/wines/2"}'


def reply_token(server, token):
    server.reply(200, json.dumps({"token": token, "expires_in": 3600}).encode())


def tokens(server):
    return [headers["Auth-Token"] for _, _, headers, _ in server.requests]


def test_token_is_renewed_once_if_it_is_not_accepted(server, call):
    reply_token(server, "t-1")
    server.reply(401, b'{"detail": "No token"}')
    reply_token(server, "t-2")
    server.reply(401, b'{"detail": "No token"}')
    with pytest.raises(Unauthorized, match="No token"):
        call(lambda client: client.datasets.flow("ann/wines/1").retry())
    assert tokens(server) == [None, "t-1", None, "t-2"]


def test_request_with_a_renewed_token_has_the_same_key(server, call):
    reply_token(server, "t-1")
    server.break_connection()  # It may have been applied.
    server.reply(401, b'{"detail": "the token has expired"}')
    reply_token(server, "t-2")
    server.reply(200, FLOW)
    assert call(lambda client: client.datasets.upload({"meta": {}, "inputs": []})).id == "ann/wines/2"
    keys = [headers["Idempotency-Key"] for _, path, headers, _ in server.requests if path == "/source/upload"]
    assert len(keys) == 3 and len(set(keys)) == 1


def test_token_is_renewed_between_the_pages_of_a_list(server, call):
    times = {"created": "2026-11-27T10:00:00Z", "modified": "2026-11-27T10:00:00Z"}
    revision = {"id": "ann/wines/1", "state": "SUCCEEDED", **times}
    reply_token(server, "t-1")
    revisions = [{**revision, "revision": number} for number in range(1001, 1, -1)]
    server.reply(200, json.dumps({"revisions": revisions, "total": 1001}).encode())
    server.reply(401, b'{"detail": "No token"}')
    reply_token(server, "t-2")
    server.reply(200, json.dumps({"revisions": [{**revision, "revision": 1}], "total": 1001}).encode())

    numbers = [entry.revision for entry in call(lambda client: client.datasets.revisions("ann", "wines"))]
    assert numbers == [*range(1001, 0, -1)]
    assert tokens(server) == [None, "t-1", "t-1", None, "t-2"]


def test_token_is_renewed_for_a_download(server, call, tmp_path):
    pipeline = {"title": "", "kind": "", "needs": [], "status": "SUCCEEDED", "started": None, "finished": None}
    pipeline |= {"stats": {"path": "reds.csv"}, "log": [], "error_log": []}
    status = {"id": "ann/wines/1", "event_ref": None, "spec_contents": {}, "modified": "2026-11-27T10:00:00Z"}
    status |= {"state": "SUCCEEDED", "logs": [], "error_log": [], "stats": {}, "pipelines": {"p": pipeline}}
    reply_token(server, "t-1")
    server.reply(200, json.dumps(status).encode())
    server.reply(401, b'{"detail": "No token"}')
    reply_token(server, "t-2")
    server.reply(200, b"year\n2020\n")
    (path,) = call(lambda client: client.datasets.flow("ann/wines").download(tmp_path))
    assert path.read_bytes() == b"year\n2020\n"
    assert tokens(server) == [None, "t-1", "t-1", None, "t-2"]


def test_reader_who_writes_learns_that_no_token_is_issued(server, call):
    server.reply(403, b'{"detail": "the role may not write"}')
    server.reply(200, b'{"pipelines": [], "flow_id": "ann/wines/1"}')
    server.reply(403, b'{"detail": "the role may not write"}')

    async def write_after_reading(client):
        await client.datasets.plan({})
        await client.datasets.upload({})

    def read_and_write(client):
        if inspect.iscoroutinefunction(client.datasets.plan):
            return write_after_reading(client)
        client.datasets.plan({})
        return client.datasets.upload({})

    with pytest.raises(Forbidden, match="the role may not write"):
        call(read_and_write)
    assert [path for _, path, _, _ in server.requests] == ["/auth/token", "/source/plan", "/auth/token"]
