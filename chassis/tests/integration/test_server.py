"""The web process as it is run: gunicorn, two workers, gevent."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from chassis.runtime.config import ServiceSettings
from quintet_testing.postgres import free_port

ESTABLISHED = "01"
COUNT = re.compile(r'^http_request_duration_seconds_count\{([^}]*route="/numbers"[^}]*)\} (\S+)$', re.MULTILINE)


class Web:
    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port

    def get(self, path: str, **how: Any) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=20, **how)

    def is_up(self) -> bool:
        try:
            return self.get("/livez").ok
        except requests.ConnectionError:
            return False

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def counted(self) -> float:
        return sum(float(value) for _, value in COUNT.findall(self.get("/metrics").text))


@pytest.fixture
def starting(settings: ServiceSettings, environment: Any, db: Any) -> Iterator[Web]:
    port = free_port()
    variables = environment(settings, BIND=f"127.0.0.1:{port}", WEB_CONCURRENCY="2")
    process = subprocess.Popen([sys.executable, "-m", "probe_service", "web"], env=variables)
    yield Web(process, port)
    process.terminate()
    try:
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def web(starting: Web, eventually: Any) -> Web:
    eventually(starting.is_up, within_seconds=30)
    return starting


def test_a_connection_whose_other_end_is_gone_without_a_word_is_found_out(web: Web, eventually: Any) -> None:
    def timers() -> list[str]:
        """Of the server's ends of its connections, as Linux tells them: 02 is that of keepalive."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return [row[5][:2] for row in rows if row[1].endswith(f":{web.port:04X}") and row[3] == ESTABLISHED]

    with socket.create_connection(("127.0.0.1", web.port)) as silent:
        silent.sendall(b"POST /numbers HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        eventually(lambda: timers() and set(timers()) == {"02"})


def test_requests_are_counted_exactly_over_two_processes_also_of_one_that_was_killed(
    web: Web, eventually: Callable[..., Any]
) -> None:
    def ask(count: int) -> None:
        with ThreadPoolExecutor(8) as pool:
            assert all(answer.ok for answer in pool.map(lambda _: web.get("/numbers"), range(count)))

    ask(200)
    assert web.counted() == 200
    killed = web.workers()[0]
    killed.kill()
    eventually(lambda: len(workers := web.workers()) == 2 and killed not in workers)
    eventually(web.is_up)
    ask(100)
    assert web.counted() == 300


def test_requests_of_one_process_wait_for_postgres_side_by_side(web: Web) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: web.get("/slow-query"), range(12)))
    assert all(answer.ok for answer in answers)
    assert max(answer.elapsed.total_seconds() for answer in answers) < 2


def test_sigterm_lets_a_running_request_end_and_takes_no_new_one(web: Web, eventually: Callable[..., Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(web.get, "/slow?seconds=1.5")
        eventually(lambda: web.counted() == 0 and not running.done())
        eventually(lambda: _has_begun(web))
        web.process.terminate()
        assert running.result().json() == {"slept": True}
    assert web.process.wait(20) == 0


def _has_begun(web: Web) -> bool:
    connections = [c for worker in web.workers() for c in worker.net_connections() if c.status == "ESTABLISHED"]
    return any(c.laddr.port == web.port for c in connections)


def test_bytes_in_the_path_that_are_no_utf8_make_no_two_names_one(web: Web) -> None:
    for path in (b"/things/%ff", b"/things/\xff", b"/things/a?limit=%fe"):
        with socket.create_connection(("127.0.0.1", web.port)) as raw:
            raw.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b" 400 " in raw.makefile("rb").readline()


def test_what_cannot_be_read_as_a_request_is_told_as_a_problem(web: Web) -> None:
    with socket.create_connection(("127.0.0.1", web.port)) as raw:
        raw.sendall(b"GET /things/\xff HTTP/1.1\r\nHost : x\r\n\r\n")
        head, _, body = raw.makefile("rb").read().partition(b"\r\n\r\n")
    assert b" 400 " in head
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400


def test_a_user_header_in_another_spelling_is_dropped_and_a_doubled_one_refused(web: Web) -> None:
    def status(*lines: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", web.port)) as raw:
            head = [b"GET /things/a HTTP/1.1", b"Host: x", b"Connection: close", *lines]
            raw.sendall(b"\r\n".join(head) + b"\r\n\r\n")
            return raw.makefile("rb").readline().split()[1]

    assert status(b"X-Authenticated-User: good", b"X-Authenticated-User: evil") == b"400"
    assert status(b"X_Authenticated_User: a,b") == b"200"


@pytest.mark.parametrize("seconds", [0, 0.05, 0.2, 0.4])
def test_sigterm_while_workers_are_starting_ends_them(
    starting: Web, seconds: float, eventually: Callable[..., Any]
) -> None:
    eventually(lambda: len(starting.workers()) == 2, within_seconds=60)
    time.sleep(seconds)
    starting.process.terminate()
    assert starting.process.wait(60) == 0
