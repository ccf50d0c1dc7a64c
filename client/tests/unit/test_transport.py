"""Attempts of one call: what is sent again, and what is returned. Each test runs with both clients."""

import asyncio
import io
import json
import time

import pytest

from quintet import NewEvent, NotFound, OutcomeUnknown, QuintetError, ResponseError, TimedOut, Unavailable

NUMBERS = json.dumps({"sequence_list": [1], "formatted": ["1"]}).encode()
EVENT = {
    "event": {"name": "A", "version": 1, "id": "e-1"},
    "system": None,
    "trigger": None,
    "payload": {"text": "\u2028"},
    "stream": "s",
    "sequence": 1,
    "position": 7,
    "producer": "p",
    "user": "ann",
    "request_id": "r",
    "received_at": "2026-11-27T10:00:00Z",
}


def test_all_attempts_of_a_write_are_the_same_request(server, call):
    server.reply(503, b"{}")
    server.break_connection()
    server.reply(409, b"{}", Retry_After="0")
    server.reply(200, NUMBERS)
    assert call(lambda client: client.sequences.next("invoice", 1)).numbers == [1]
    assert {(method, path, body) for method, path, _, body in server.requests} == {
        ("POST", "/sequences/invoice/next", b'{"n":1}')
    }
    for name in ("Idempotency-Key", "X-Request-ID", "Authorization", "User-Agent"):
        values = [headers[name] for _, _, headers, _ in server.requests]
        assert len(values) == 4 and len(set(values)) == 1 and values[0]


def test_calls_have_different_keys_unless_one_is_passed(server, call):
    for _ in range(4):
        server.reply(200, NUMBERS)
    call(lambda client: client.sequences.next("invoice"))
    call(lambda client: client.sequences.next("invoice"))
    call(lambda client: client.sequences.next("invoice", idempotency_key="k"))
    call(lambda client: client.sequences.next("invoice", idempotency_key="k"))
    first, second, third, fourth = (headers["Idempotency-Key"] for _, _, headers, _ in server.requests)
    assert first != second
    assert third == fourth == "k"


def test_each_batch_has_a_key_of_its_own_that_is_the_same_in_a_later_call(server, call):
    event = NewEvent("A", {}, system={"time": "2026-11-27 10:00:00"})
    key = "k" * 255
    for _ in range(4):
        server.reply(200, b"[]")
    for _ in range(2):
        call(lambda client: client.streams("s").append_many([event] * 1001, idempotency_key=key))
    first, second, *repeated = (headers["Idempotency-Key"] for _, _, headers, _ in server.requests)
    assert repeated == [first, second]
    assert first == key != second and len(second) <= 255


def test_upload_is_sent_from_its_beginning_in_each_attempt(server, call):
    content = b"id\n" * 100_000
    server.break_connection()
    server.reply(502)
    server.reply(202, b'{"result": {"task_id": "t-1"}}')
    task = call(lambda client: client.orders.upload(io.BytesIO(content), columns={"zipcode": "PLZ"}, dry_run=True))
    assert task.id == "t-1"
    assert [body for _, _, _, body in server.requests] == [content] * 3
    assert len({headers["Idempotency-Key"] for _, _, headers, _ in server.requests}) == 1
    path = "/acme_orders/api/v1/orders/import?file_name=orders.csv&dry_run=true&columns=%7B%22zipcode%22%3A%22PLZ%22%7D"
    assert server.requests[0][1] == path


def test_deleting_succeeds_if_an_attempt_whose_response_was_lost_did_it(server, call):
    server.break_connection()
    server.reply(404, b"{}")
    assert call(lambda client: client.sequences.delete("invoice")) is None
    server.reply(404, b"{}")
    with pytest.raises(NotFound):
        call(lambda client: client.sequences.delete("invoice"))


def test_requeued_letter_counts_if_the_response_was_lost(server, call):
    server.break_connection()
    server.reply(404, b"{}")
    assert call(lambda client: client.dead_letters.requeue("orders.import", "m-1")) == 1
    assert server.requests[0][:2] == ("POST", "/dead-letters/orders.import/retry?id=m-1")


def test_request_that_issues_numbers_is_not_repeated_if_it_was_sent(server, call):
    server.reply(503)
    server.break_connection()
    with pytest.raises(ResponseError):
        call(lambda client: client.request("GET", "/sequence", params={"n": 3}))
    assert len(server.requests) == 2


def test_outcome_is_unknown_at_the_deadline(server, call):
    server.reply(504, b'{"detail": "the connection was lost"}')
    with pytest.raises(OutcomeUnknown, match="the connection was lost") as raised:
        call(lambda client: client.sequences.next("invoice"), retry_seconds=0)
    assert raised.value.request_id == server.requests[0][2]["X-Request-ID"]


def test_server_that_does_not_listen_is_unavailable(server, call):
    server.close()
    with pytest.raises(Unavailable) as raised:
        call(lambda client: client.sequences.get("invoice"), retry_seconds=0.2)
    assert raised.value.status is None


def test_wait_ends_at_its_timeout_during_an_outage(server, call):
    server.close()
    started_at = time.monotonic()
    with pytest.raises(TimedOut, match="import t"):
        call(lambda client: client.orders.task("t").wait(timeout_seconds=0.3))
    assert time.monotonic() - started_at < 10
    with pytest.raises(Unavailable):
        call(lambda client: client.orders.task("t").wait(timeout_seconds=60), retry_seconds=0)


def test_transfer_that_took_longer_than_the_time_for_retries_is_repeated(server, call, tmp_path):
    server.break_connection()
    server.reply(202, b'{"result": {"task_id": "t-1"}}')

    def wait_longer(progress):
        if progress.done_bytes:
            # As a large file does.
            time.sleep(0.3)

    upload = io.BytesIO(b"id\n")
    call(lambda client: client.orders.upload(upload, on_progress=wait_longer), retry_seconds=0.2)
    server.reply(200, b"half", Content_Length="8")
    server.reply(200, b"complete")
    call(lambda client: client.orders.export(tmp_path / "all.csv", on_progress=wait_longer), retry_seconds=0.2)
    assert len(server.requests) == 4


def test_download_that_breaks_off_is_repeated(server, call, tmp_path):
    server.reply(200, b"half", Content_Length="8")
    server.reply(503)
    server.reply(200, b"complete")
    progress = []
    call(lambda client: client.orders.export(tmp_path / "all.csv", on_progress=progress.append))
    assert (tmp_path / "all.csv").read_bytes() == b"complete"
    assert (progress[-1].done_bytes, progress[-1].total_bytes) == (8, 8)


def test_download_of_something_unknown_creates_no_file(server, call, tmp_path):
    server.reply(404, b'{"message": "import not found", "status_code": 404, "uuid": "u"}')
    with pytest.raises(NotFound, match="import not found"):
        call(lambda client: client.orders.task("t").save_errors(tmp_path / "errors.csv"))
    assert not list(tmp_path.iterdir())


def test_file_with_another_hash_is_not_kept(server, call, tmp_path):
    pipeline = {"title": "", "kind": "", "needs": [], "status": "SUCCEEDED", "started": None, "finished": None}
    pipeline |= {"stats": {"path": "reds.csv", "hash": "sha256:0"}, "log": [], "error_log": []}
    status = {"id": "ann/wines/1", "event_ref": None, "spec_contents": {}, "modified": "2026-11-27T10:00:00Z"}
    status |= {"state": "SUCCEEDED", "logs": [], "error_log": [], "stats": {}, "pipelines": {"p": pipeline}}
    server.reply(200, b'{"token": "t-1", "expires_in": 3600}')
    server.reply(200, json.dumps(status).encode())
    server.reply(200, b"changed")
    with pytest.raises(QuintetError, match="hash"):
        call(lambda client: client.datasets.flow("ann/wines").download(tmp_path))
    assert not list(tmp_path.iterdir())
    assert [headers["Auth-Token"] for _, _, headers, _ in server.requests] == [None, "t-1", "t-1"]


def test_reading_needs_no_token(server, call):
    server.reply(403, b"{}")
    server.reply(200, b'{"datasets": [], "total": 0}')
    assert call(lambda client: client.datasets.list()) == []
    assert server.requests[1][2]["Auth-Token"] is None


def test_reading_continues_at_the_next_page(server, call):
    pages = [
        [{**EVENT, "position": position} for position in range(start, end)] for start, end in ((1, 1001), (1001, 1003))
    ]
    for page in pages:
        server.reply(200, json.dumps(page).encode())
    assert [event.position for event in call(lambda client: client.streams("s").events())] == [*range(1, 1003)]
    assert [path.partition("?")[2] for _, path, _, _ in server.requests] == [
        "from=1&limit=1000",
        "from=1001&limit=1000",
    ]


def test_following_resumes_after_the_last_complete_event(server, call, client_class):
    document = json.dumps(EVENT, ensure_ascii=False)
    stream = f"retry: 10\nid: 6\n\nid: 7\ndata: {document}\n\nid: 8\ndata: cut".encode()
    server.reply(200, stream)
    server.reply(503)
    server.reply(404, b'"Not Found - gone"')
    with pytest.raises(NotFound, match="gone"):
        call(lambda client: client.streams("s").follow("A"))
    assert [headers["Last-Event-ID"] for _, _, headers, _ in server.requests] == [None, "7", "7"]


def test_names_are_quoted_and_headers_are_utf_8(server, call):
    server.reply(200, b'"e-1"')
    call(lambda client: client.streams("a b?%", producer="läden").append("A/B", {}, expected_position=3))
    _, path, headers, _ = server.requests[0]
    assert path == "/api/v1/streams/a%20b%3F%25/events"
    assert (headers["X-Producer-ID"].encode("latin-1").decode(), headers["X-Expected-Position"]) == ("läden", "3")


def test_closed_client_is_an_error(server, call):
    clients = []
    server.reply(200, NUMBERS)
    call(lambda client: clients.append(client) or client.sequences.next("invoice"))
    with pytest.raises(QuintetError, match="closed"):
        asyncio.run(clients[0].sequences.next("invoice"))
    assert len(server.requests) == 1


def test_response_of_another_program_is_an_error(server, call):
    server.reply(200, b"<html>Welcome to nginx!</html>")
    with pytest.raises(ResponseError, match="gateway"):
        call(lambda client: client.sequences.get("invoice"))


def test_health_of_services_that_are_down_is_no_error(server, call):
    server.reply(503, b'{"status": "DOWN", "services": {}}')
    assert call(lambda client: client.health()) == {"status": "DOWN", "services": {}}


def test_console_that_is_down_is_unavailable(server, call):
    server.reply(503, b'{"detail": "no replica exists"}')
    with pytest.raises(Unavailable, match="no replica exists"):
        call(lambda client: client.health())
