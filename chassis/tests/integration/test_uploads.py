"""Uploads to a web process that runs as in production: a slow one is ended, whatever its client does."""

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

Start = Callable[..., Any]


@pytest.fixture(scope="module")
def start(settings: ServiceSettings, environment: Any, eventually: Any) -> Iterator[Start]:
    """Start a web process with these settings, or find the one that has them; return its port."""
    processes: list[subprocess.Popen[bytes]] = []

    @functools.cache
    def run(**more: str) -> int:
        port = free_port()
        variables = environment(settings, BIND=f"127.0.0.1:{port}", WEB_CONCURRENCY="1", **more)
        processes.append(subprocess.Popen([sys.executable, "-m", "probe_service", "web"], env=variables))
        eventually(lambda: is_up(port), within_seconds=60)
        return port

    yield run
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
    """Status and body; the connection must be closed after it."""
    head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("length", [10_000, -1])
@pytest.mark.parametrize("sent", [b"", b"5\r\nabcde\r\n"])
def test_an_upload_that_falls_silent_is_ended(start: Start, length: int, sent: bytes) -> None:
    with upload(start(), length=length) as connection:
        connection.sendall(sent)
        status, body = response_to(connection)
    assert (status, body["detail"]) == (408, TOO_SLOW)


def test_an_upload_that_sends_a_byte_now_and_then_is_ended(start: Start) -> None:
    with upload(start()) as connection:
        connection.settimeout(0.1)
        for _ in range(10_000):
            with suppress(OSError):
                connection.sendall(b"x")
            try:
                begin = connection.recv(12)
            except TimeoutError:
                continue
            break
        assert begin == b"HTTP/1.1 408"


def test_an_upload_that_is_fast_enough_on_average_may_pause(start: Start) -> None:
    with upload(start(UPLOAD_MIN_BYTES_PER_SECOND="1"), length=4096) as connection:
        connection.sendall(b"x" * 4000)
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(60)
        connection.sendall(b"x" * 96)
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_an_upload_that_takes_too_long_is_ended_at_any_rate(start: Start) -> None:
    with upload(start(UPLOAD_MIN_BYTES_PER_SECOND="0", UPLOAD_MAX_SECONDS="1"), length=2**20) as connection:
        connection.sendall(b"x" * 1000)
        status, body = response_to(connection)
    assert (status, body["detail"]) == (408, TOO_LONG)


@pytest.mark.parametrize("path", ["/uploads", "/refused-uploads", "/no-such-path"])
def test_a_body_without_end_is_cut_off_and_others_are_served_meanwhile(start: Start, path: str) -> None:
    port = start(UPLOAD_MAX_SECONDS="0.5")
    with upload(port, path, length=2**40) as connection, ThreadPoolExecutor(1) as thread:
        sending = thread.submit(send_until_it_is_cut, connection)
        while not sending.done():
            assert is_up(port)
        assert sending.result() > 2**20


def send_until_it_is_cut(connection: socket.socket) -> int:
    sent = 0
    with suppress(OSError):
        while True:
            connection.sendall(b"x" * 65536)
            sent += 65536
    return sent


def test_a_refusal_does_not_wait_for_a_silent_client(start: Start) -> None:
    with upload(start(UPLOAD_MIN_BYTES_PER_SECOND="0"), "/refused-uploads") as connection:
        assert connection.recv(12) == b"HTTP/1.1 409"


def test_the_rest_of_a_refused_body_is_not_read_as_a_request(start: Start) -> None:
    port = start(UPLOAD_MIN_BYTES_PER_SECOND="0")
    smuggled = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with upload(port, "/refused-uploads", length=-1) as connection:
        connection.sendall(b"%x\r\nabc" % (3 + len(smuggled)))
        response = connection.recv(65536)
        assert response.startswith(b"HTTP/1.1 409")
        with suppress(OSError):  # a closed connection may refuse it at once
            connection.sendall(smuggled)
            while data := connection.recv(65536):
                response += data
    assert response.count(b"HTTP/1.1 ") == 1, response


def test_a_whole_body_is_read_and_the_connection_stays(start: Start) -> None:
    port = start()
    with requests.Session() as session:
        for size in (0, 1, 1023, 1024, 1025, 3_000_000):
            for body in (b"x" * size, iter([b"x" * size])):
                answer = session.put(f"http://127.0.0.1:{port}/uploads", data=body, timeout=60)
                assert answer.json() == {"size": size}
