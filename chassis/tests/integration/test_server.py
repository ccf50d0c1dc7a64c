"""The web process as in production: gunicorn with two gevent workers."""

import json
import re
import signal
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

from chassis.db import Database
from chassis.runtime.config import ServiceSettings
from quintet_testing.postgres import free_port

ESTABLISHED = "01"
COUNT = re.compile(r'^quintet_http_request_duration_seconds_count\{([^}]*route="/numbers"[^}]*)\} (\S+)$', re.MULTILINE)


class Web:
    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=60, **options)

    def is_up(self) -> bool:
        try:
            return self.get("/livez").ok
        except requests.ConnectionError:
            return False

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def request_count(self) -> float:
        return sum(float(value) for _, value in COUNT.findall(self.get("/metrics").text))


@pytest.fixture
def starting_web(settings: ServiceSettings, process_environment: Any, db: Database, tmp_path: Path) -> Iterator[Web]:
    port = free_port()
    environment = process_environment(settings, BIND=f"127.0.0.1:{port}", WEB_CONCURRENCY="2")
    log = tmp_path / "web.log"
    with log.open("wb") as stdout:
        process = subprocess.Popen([sys.executable, "-m", "probe_service", "web"], env=environment, stdout=stdout)
    yield Web(process, port, log)
    process.terminate()
    try:
        # A test may have killed it.
        assert process.wait(60) in (0, -signal.SIGKILL)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def web(starting_web: Web, eventually: Any) -> Web:
    eventually(starting_web.is_up, within_seconds=60)
    return starting_web


@pytest.mark.slow
def test_server_connections_have_keepalive_timers(web: Web, eventually: Any) -> None:
    def timers() -> list[str]:
        """Return the timers of the server's connections as Linux reports them: 02 is keepalive."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return [row[5][:2] for row in rows if row[1].endswith(f":{web.port:04X}") and row[3] == ESTABLISHED]

    with socket.create_connection(("127.0.0.1", web.port)) as connection:
        connection.sendall(b"POST /numbers HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        eventually(lambda: timers() and set(timers()) == {"02"})


@pytest.mark.fault
def test_requests_are_counted_exactly_across_processes_even_if_one_was_killed(
    web: Web, eventually: Callable[..., Any]
) -> None:
    def send_requests(count: int) -> None:
        with ThreadPoolExecutor(8) as pool:
            assert all(response.ok for response in pool.map(lambda _: web.get("/numbers"), range(count)))

    send_requests(200)
    assert web.request_count() == 200
    killed = web.workers()[0]
    killed.kill()
    eventually(lambda: len(workers := web.workers()) == 2 and killed not in workers)
    eventually(web.is_up)
    send_requests(100)
    assert web.request_count() == 300


@pytest.mark.fault
def test_gauges_are_the_sum_of_the_processes_that_run(
    web: Web, settings: ServiceSettings, eventually: Callable[..., Any]
) -> None:
    size = re.compile(r'^quintet_pool_connections\{pool="probe"\} (\S+)$', re.MULTILINE)

    def pool_size() -> float:
        return float(size.findall(web.get("/metrics").text)[0])

    eventually(lambda: pool_size() == 2 * settings.pool_size)
    killed = web.workers()[0]
    killed.kill()
    eventually(lambda: len(workers := web.workers()) == 2 and killed not in workers)
    eventually(lambda: pool_size() == 2 * settings.pool_size)


def test_each_request_has_a_log_line_soon(web: Web, eventually: Any) -> None:
    def handled_count() -> int:
        return sum("request.handled" in line and "/numbers" in line for line in web.log.read_text().splitlines())

    for count in (1, 30):
        before = handled_count()
        with ThreadPoolExecutor(8) as pool:
            assert all(response.ok for response in pool.map(web.get, ["/numbers?n=1"] * count))
        eventually(lambda before=before, count=count: handled_count() == before + count)


def test_requests_of_one_process_wait_for_postgres_concurrently(
    web: Web, db: Database, eventually: Callable[..., Any]
) -> None:
    with ThreadPoolExecutor(12) as pool:
        with db.transaction() as tx:
            tx.run("LOCK TABLE effects")
            responses = pool.map(lambda _: web.get("/effects"), range(12))
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'effects'::regclass"
            # More than there are processes.
            eventually(lambda: tx.value(waiting) > 4)
        assert all(response.ok for response in responses)


def test_sigterm_finishes_a_running_request(web: Web, eventually: Callable[..., Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        # A response that stays referenced keeps its connection open, and the server waits 20 s for it when it stops.
        running = pool.submit(web.get, "/slow?seconds=3", headers={"Connection": "close"})
        eventually(lambda: web.request_count() == 0 and not running.done())
        eventually(lambda: _has_connection(web))
        web.process.terminate()
        assert running.result().json() == {"slept": True}
    assert web.process.wait(60) == 0


def _has_connection(web: Web) -> bool:
    connections = [connection for worker in web.workers() for connection in worker.net_connections()]
    return any(connection.status == "ESTABLISHED" and connection.laddr.port == web.port for connection in connections)


def test_path_with_invalid_utf8_returns_400(web: Web) -> None:
    for path in (b"/things/%ff", b"/things/\xff", b"/things/a?limit=%fe"):
        with socket.create_connection(("127.0.0.1", web.port)) as connection:
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b" 400 " in connection.makefile("rb").readline()


def test_malformed_request_returns_a_problem_document(web: Web) -> None:
    with socket.create_connection(("127.0.0.1", web.port)) as connection:
        connection.sendall(b"GET /things/\xff HTTP/1.1\r\nHost : x\r\n\r\n")
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert b" 400 " in head
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400


def test_user_header_with_underscores_is_dropped_and_a_repeated_one_rejected(web: Web) -> None:
    def status(*lines: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", web.port)) as connection:
            head = [b"GET /things/a HTTP/1.1", b"Host: x", b"Connection: close", *lines]
            connection.sendall(b"\r\n".join(head) + b"\r\n\r\n")
            return connection.makefile("rb").readline().split()[1]

    assert status(b"X-Authenticated-User: good", b"X-Authenticated-User: evil") == b"400"
    assert status(b"X_Authenticated_User: a,b") == b"200"


def test_processes_share_the_memory_of_the_imported_modules(web: Web) -> None:
    for worker in web.workers():
        memory = worker.memory_full_info()
        assert memory.uss < memory.rss / 2


@pytest.mark.fault
def test_workers_end_and_release_the_port_if_the_arbiter_was_killed(web: Web, eventually: Callable[..., Any]) -> None:
    workers = web.workers()
    web.process.kill()
    eventually(lambda: not any(worker.is_running() for worker in workers))
    assert not web.is_up()


@pytest.mark.fault
@pytest.mark.parametrize("seconds", [0, 0.05, 0.2, 0.4])
def test_sigterm_ends_workers_that_are_starting(
    starting_web: Web, seconds: float, eventually: Callable[..., Any]
) -> None:
    eventually(lambda: len(starting_web.workers()) == 2, within_seconds=60)
    time.sleep(seconds)
    starting_web.process.terminate()
    assert starting_web.process.wait(60) == 0
