"""Uploads to a web process that runs as in production: slow ones are ended regardless of the client."""

import functools
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import requests

from chassis.runtime.config import ServiceSettings
from chassis.web.uploads import TOO_LONG, TOO_SLOW
from quintet_testing.postgres import free_port

pytestmark = pytest.mark.slow

Start = Callable[..., Any]


@pytest.fixture(scope="module")
def start(settings: ServiceSettings, process_environment: Any, eventually: Any) -> Iterator[Start]:
    """Return a function that returns the port of a web process with these settings, which it starts if necessary."""
    processes: list[subprocess.Popen[bytes]] = []

    @functools.cache
    def start_web(**variables: str) -> int:
        port = free_port()
        environment = process_environment(settings, BIND=f"127.0.0.1:{port}", WEB_CONCURRENCY="1", **variables)
        processes.append(subprocess.Popen([sys.executable, "-m", "probe_service", "web"], env=environment))
        eventually(lambda: is_up(port), within_seconds=60)
        return port

    yield start_web
    for process in processes:
        process.terminate()
        assert process.wait(60) == 0


def is_up(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/livez", timeout=20).ok
    except requests.ConnectionError:
        return False


@contextmanager
def upload(port: int, path: str = "/uploads", *, length: int = 10_000) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = "Transfer-Encoding: chunked" if length < 0 else f"Content-Length: {length}"
        connection.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
        yield connection


def response_to(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Return status and body; the server must close the connection after them."""
    head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("length", [10_000, -1], ids=["content length", "chunked"])
@pytest.mark.parametrize("sent", [b"", b"5\r\nabcde\r\n"], ids=["nothing sent", "one chunk sent"])
def test_silent_upload_is_ended(start: Start, length: int, sent: bytes) -> None:
    with upload(start(), length=length) as connection:
        connection.sendall(sent)
        status, body = response_to(connection)
    assert (status, body["detail"]) == (408, TOO_SLOW)


def test_upload_that_trickles_is_ended(start: Start) -> None:
    with upload(start()) as connection:
        connection.settimeout(0.1)
        for _ in range(10_000):
            with suppress(OSError):
                connection.sendall(b"x")
            try:
                status_line = connection.recv(12)
            except TimeoutError:
                continue
            break
        assert status_line == b"HTTP/1.1 408"


def test_upload_may_pause_if_its_average_rate_suffices(start: Start) -> None:
    with upload(start(UPLOAD_MIN_BYTES_PER_SECOND="1"), length=4096) as connection:
        connection.sendall(b"x" * 4000)
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(60)
        connection.sendall(b"x" * 96)
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_upload_that_takes_too_long_is_ended_at_any_rate(start: Start) -> None:
    with upload(start(UPLOAD_MIN_BYTES_PER_SECOND="0", UPLOAD_MAX_SECONDS="1"), length=2**20) as connection:
        connection.sendall(b"x" * 1000)
        status, body = response_to(connection)
    assert (status, body["detail"]) == (408, TOO_LONG)


@pytest.mark.parametrize("path", ["/uploads", "/rejected-uploads", "/no-such-path"])
def test_endless_body_is_cut_off_while_other_requests_are_served(start: Start, path: str) -> None:
    port = start(UPLOAD_MAX_SECONDS="0.5")
    with upload(port, path, length=2**40) as connection, ThreadPoolExecutor(1) as thread:
        sending = thread.submit(send_until_cut_off, connection)
        while not sending.done():
            assert is_up(port)
        assert sending.result() > 2**20


def send_until_cut_off(connection: socket.socket) -> int:
    sent = 0
    with suppress(OSError):
        while True:
            connection.sendall(b"x" * 65536)
            sent += 65536
    return sent


def test_rejection_does_not_wait_for_a_silent_client(start: Start) -> None:
    with upload(start(UPLOAD_MIN_BYTES_PER_SECOND="0"), "/rejected-uploads") as connection:
        assert connection.recv(12) == b"HTTP/1.1 409"


def test_rest_of_a_rejected_body_is_not_parsed_as_a_request(start: Start) -> None:
    port = start(UPLOAD_MIN_BYTES_PER_SECOND="0")
    smuggled = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with upload(port, "/rejected-uploads", length=-1) as connection:
        connection.sendall(b"%x\r\nabc" % (3 + len(smuggled)))
        response = connection.recv(65536)
        assert response.startswith(b"HTTP/1.1 409")
        with suppress(OSError):  # a closed connection may reject it immediately
            connection.sendall(smuggled)
            while data := connection.recv(65536):
                response += data
    assert response.count(b"HTTP/1.1 ") == 1, response


def test_complete_body_is_read_and_the_connection_stays_open(start: Start) -> None:
    port = start()
    with requests.Session() as session:
        for size in (0, 1, 1023, 1024, 1025, 3_000_000):
            for body in (b"x" * size, iter([b"x" * size])):
                response = session.put(f"http://127.0.0.1:{port}/uploads", data=body, timeout=60)
                assert response.json() == {"size": size}
