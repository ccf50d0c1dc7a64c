"""The web process in production configuration: gunicorn with greenlets, over a real socket."""

import signal
import time
from contextlib import ExitStack

import pytest
import requests

WAITER_COUNT = 200


@pytest.fixture(scope="module")
def shared_process(settings, running_process):
    with running_process(settings) as process:
        yield process


@pytest.fixture
def web(shared_process, db):
    return shared_process


def read_response(connection):
    with connection:
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def open_waiter(web, number):
    path = f"GET /api/v1/streams/s/events?eventName=name{number}&limit=1&wait=30".encode()
    return web.send(path, f"X-Consumer-ID: c{number}".encode())


def count_busy_connections(db):
    with db.transaction() as tx:
        return tx.value(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'event' AND usename = user AND state <> 'idle'"
        )


@pytest.mark.slow
def test_two_hundred_waiters_do_not_slow_down_other_requests(web, db, an_event):
    web.append(an_event("first"))
    with ExitStack() as open_connections:
        waiting = [open_connections.enter_context(open_waiter(web, number % 50)) for number in range(WAITER_COUNT)]
        assert_other_requests_are_fast(web, an_event)
        # Each of the two processes polls with one query for all of its waiters.
        assert count_busy_connections(db) <= 2
        ids = [web.append(an_event(f"name{number}")) for number in range(50)]
        appended_at = time.monotonic()
        for number, connection in enumerate(waiting):
            status, body = read_response(connection)
            assert status == 200 and ids[number % 50].encode() in body
        assert time.monotonic() - appended_at < 20


def assert_other_requests_are_fast(web, an_event):
    max_seconds = 0.0
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        for send in (
            lambda: web.append(an_event("other")),
            lambda: requests.get(f"{web.base}/api/v1/streams", timeout=30),
        ):
            start = time.monotonic()
            send()
            max_seconds = max(max_seconds, time.monotonic() - start)
    assert max_seconds < 10


@pytest.mark.fault
def test_stopping_process_responds_to_all_waiting_requests(settings, running_process, db, an_event):
    with running_process(settings) as web:
        web.append(an_event("first"))
        waiting = [open_waiter(web, number) for number in range(20)]
        live = web.send(b"GET /api/v1/streams/s/live?eventName=*")
        # After these responses, the process has accepted the earlier connections.
        for _ in range(20):
            requests.get(f"{web.base}/livez", timeout=30)
        start = time.monotonic()
        web.process.send_signal(signal.SIGTERM)
        assert [read_response(connection) for connection in waiting] == [(200, b"[]\n")] * 20
        assert read_response(live)[0] == 200
        assert web.process.wait(timeout=20) == 0
        assert time.monotonic() - start < 20


@pytest.mark.parametrize("path", [b"%ff", b"%c0%af", b"a%2Fb", b"%2e%2e", b"%ed%a0%80"])
def test_paths_that_are_not_valid_text_are_rejected(web, path):
    status, body = read_response(web.send(b"GET /api/v1/streams/" + path))
    assert (status, body[:15]) == (400, b'"Bad Request - ')


@pytest.mark.parametrize("path", [b"\xff", b"\xc0\xaf", "caf\u00e9".encode()])
def test_bytes_that_http_does_not_allow_are_rejected(web, path):
    """gunicorn rejects them before the service receives the request."""
    assert read_response(web.send(b"GET /api/v1/streams/" + path))[0] == 400


def test_repeated_header_returns_400_that_names_the_header(web, an_event):
    web.append(an_event("A"))
    path = b"GET /api/v1/streams/s/events?eventName=A&limit=1"
    status, body = read_response(web.send(path, b"X-Consumer-ID: a", b"X-Consumer-ID: b"))
    assert status == 400 and b"X-Consumer-ID" in body


def test_live_stream_delivers_events_over_a_socket(web, an_event):
    web.append(an_event("A"))
    with web.send(b"GET /api/v1/streams/s/live?eventName=*") as connection:
        received = b""
        while b"id: 1\n\n" not in received:
            received += connection.recv(65536)
        id_ = web.append(an_event("A"))
        appended_at = time.monotonic()
        while id_.encode() not in received:
            received += connection.recv(65536)
        # Without a wake-up, the event would be sent after the next comment.
        assert time.monotonic() - appended_at < 10
