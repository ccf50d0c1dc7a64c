"""The web process as it runs: gunicorn with greenlets, over a real socket."""

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

WAITERS = 200


class Served:
    def __init__(self, url, port):
        self.port, self.base = port, f"http://127.0.0.1:{port}"
        environment = {**os.environ, "DATABASE_URL": url, "BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "2"}
        self.process = subprocess.Popen([sys.executable, "-m", "event_service", "web"], env=environment)

    def until_it_answers(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                return requests.get(f"{self.base}/livez", timeout=1).raise_for_status()
            except requests.RequestException:
                time.sleep(0.05)
        raise AssertionError("the web process did not start")

    def send(self, request_line, *headers):
        """A connection with that request on its way, as bytes that no client library would spoil."""
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
def served_by(settings):
    found = Served(settings.database_url, free_port())
    try:
        found.until_it_answers()
        yield found
    finally:
        found.process.send_signal(signal.SIGTERM)
        found.process.wait(timeout=30)


@pytest.fixture(scope="module")
def process(settings):
    with served_by(settings) as found:
        yield found


@pytest.fixture
def served(process, db):
    return process


def answer_of(connection):
    with connection:
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def waiter(served, number):
    path = f"GET /api/v1/streams/s/events?eventName=name{number}&limit=1&wait=30".encode()
    return served.send(path, f"X-Consumer-ID: c{number}".encode())


def busy_connections(db):
    with db.transaction() as tx:
        return tx.value(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'event' AND usename = user AND state <> 'idle'"
        )


def test_two_hundred_waiters_leave_other_requests_unharmed(served, db, an_event):
    served.append(an_event("first"))
    with ExitStack() as open_connections:
        waiting = [open_connections.enter_context(waiter(served, number % 50)) for number in range(WAITERS)]
        others_are_unharmed(served, an_event)
        # At most the two questions that the processes ask for all of theirs.
        assert busy_connections(db) <= 2
        ids = [served.append(an_event(f"name{number}")) for number in range(50)]
        appended_at = time.monotonic()
        for number, connection in enumerate(waiting):
            status, body = answer_of(connection)
            assert status == 200 and ids[number % 50].encode() in body
        assert time.monotonic() - appended_at < 3


def others_are_unharmed(served, an_event):
    slowest = 0.0
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        for act in (
            lambda: served.append(an_event("other")),
            lambda: requests.get(f"{served.base}/api/v1/streams", timeout=5),
        ):
            began = time.monotonic()
            act()
            slowest = max(slowest, time.monotonic() - began)
    assert slowest < 2


def test_the_end_of_the_process_is_an_answer_to_all_who_wait(settings, db, an_event):
    with served_by(settings) as served:
        served.append(an_event("first"))
        waiting = [waiter(served, number) for number in range(20)]
        live = served.send(b"GET /api/v1/streams/s/live?eventName=*")
        # What came before these has been taken.
        for _ in range(20):
            requests.get(f"{served.base}/livez", timeout=5)
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert [answer_of(connection) for connection in waiting] == [(200, b"[]")] * 20
        assert answer_of(live)[0] == 200
        assert served.process.wait(timeout=20) == 0
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("path", [b"%ff", b"%c0%af", b"a%2Fb", b"%2e%2e", b"%ed%a0%80"])
def test_two_spellings_that_are_no_text_never_become_one_name(served, path):
    status, body = answer_of(served.send(b"GET /api/v1/streams/" + path))
    assert (status, body[:15]) == (400, b'"Bad Request - ')


@pytest.mark.parametrize("path", [b"\xff", b"\xc0\xaf", "caf\u00e9".encode()])
def test_bytes_that_http_does_not_allow_are_refused(served, path):
    """By gunicorn, before the service sees them."""
    assert answer_of(served.send(b"GET /api/v1/streams/" + path))[0] == 400


def test_a_doubled_header_is_told(served, an_event):
    served.append(an_event("A"))
    path = b"GET /api/v1/streams/s/events?eventName=A&limit=1"
    status, body = answer_of(served.send(path, b"X-Consumer-ID: a", b"X-Consumer-ID: b"))
    assert status == 400 and b"X-Consumer-ID" in body


def test_a_live_stream_over_the_wire(served, an_event):
    served.append(an_event("A"))
    with served.send(b"GET /api/v1/streams/s/live?eventName=*") as connection:
        seen = b""
        while b"id: 1\n\n" not in seen:
            seen += connection.recv(65536)
        id_ = served.append(an_event("A"))
        appended_at = time.monotonic()
        while id_.encode() not in seen:
            seen += connection.recv(65536)
        assert time.monotonic() - appended_at < 3
