"""The web process in production configuration: gunicorn with greenlets, over a real socket."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest
import requests

from quintet_testing.postgres import free_port

WAITER_COUNT = 200


class WebProcess:
    def __init__(self, url, port):
        self.port, self.base = port, f"http://127.0.0.1:{port}"
        environment = {**os.environ, "DATABASE_URL": url, "BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "2"}
        self.process = subprocess.Popen([sys.executable, "-m", "event_service", "web"], env=environment)

    def wait_until_ready(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                return requests.get(f"{self.base}/livez", timeout=1).raise_for_status()
            except requests.RequestException:
                time.sleep(0.05)
        raise AssertionError("the web process did not start")

    def send(self, request_line, *headers):
        """Send the bytes of a request unmodified, which no client library does, and return the connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        lines = [request_line + b" HTTP/1.1", b"Host: x", b"Connection: close", *headers]
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        return connection

    def append(self, body, stream="s"):
        response = requests.post(
            f"{self.base}/api/v1/streams/{stream}/events", json=body, headers={"X-Producer-ID": "p"}, timeout=5
        )
        assert response.status_code == 200
        return response.json()


@contextmanager
def running_process(settings):
    process = WebProcess(settings.database_url, free_port())
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.process.send_signal(signal.SIGTERM)
        process.process.wait(timeout=30)


@pytest.fixture(scope="module")
def shared_process(settings):
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
        assert time.monotonic() - appended_at < 3


def assert_other_requests_are_fast(web, an_event):
    max_seconds = 0.0
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        for send in (
            lambda: web.append(an_event("other")),
            lambda: requests.get(f"{web.base}/api/v1/streams", timeout=5),
        ):
            start = time.monotonic()
            send()
            max_seconds = max(max_seconds, time.monotonic() - start)
    assert max_seconds < 2


@pytest.mark.fault
def test_stopping_process_responds_to_all_waiting_requests(settings, db, an_event):
    with running_process(settings) as web:
        web.append(an_event("first"))
        waiting = [open_waiter(web, number) for number in range(20)]
        live = web.send(b"GET /api/v1/streams/s/live?eventName=*")
        # After these responses, the process has accepted the earlier connections.
        for _ in range(20):
            requests.get(f"{web.base}/livez", timeout=5)
        start = time.monotonic()
        web.process.send_signal(signal.SIGTERM)
        assert [read_response(connection) for connection in waiting] == [(200, b"[]\n")] * 20
        assert read_response(live)[0] == 200
        assert web.process.wait(timeout=20) == 0
        assert time.monotonic() - start < 10


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
        assert time.monotonic() - appended_at < 3
