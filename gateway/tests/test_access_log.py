"""The access log: one JSON line per request, written in blocks, of which none is lost or mixed with another."""

import fcntl
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from select import PIPE_BUF

import pytest

from quintet_testing.waiting import eventually

REQUESTS = 300


@pytest.fixture
def pipe(tmp_path):
    """A named pipe, as a path and an open file."""
    path = tmp_path / "access.log"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    yield str(path), descriptor
    os.close(descriptor)


def logged_ids(log):
    return [json.loads(line)["request_id"] for line in log.read_text().splitlines()]


def test_request_is_logged_as_one_line_of_json(gateway):
    response = gateway.call("GET", '/sequences?a="\\', "ann", headers={"User-Agent": 'a "quoted" agent\t'})
    line = gateway.access_log_entry(response.headers["X-Request-ID"])
    assert (line["user"], line["status"], line["method"], line["uri"]) == (
        "ann",
        200,
        "GET",
        '/sequences?a="\\',
    )
    assert (
        line["user_agent"].startswith('a "quoted" agent')
        and line["upstream"].endswith("sequence.sock")
        and line["seconds"] >= 0
    )


@pytest.mark.parametrize("agent", [b"\xff agent", b"agent \xc3\xa4 \xff", b'"\x80'])
def test_log_is_valid_json_for_arbitrary_bytes(gateway, agent):
    response = gateway.call("GET", "/sequences", "ann", headers={"User-Agent": agent})
    assert gateway.access_log_entry(response.headers["X-Request-ID"])["user_agent"].isascii()
    request_id = f"bytes-{agent.hex()}"
    head = f"X-Request-ID: {request_id}\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    gateway.send_raw(b"GET /sequences/\xff\xfe HTTP/1.1\r\n" + head)
    assert gateway.access_log_entry(request_id)["uri"] == "/sequences/..."


def test_log_has_the_original_method_of_a_failed_request(gateway):
    response = gateway.call("PATCH", "/nothing", "ann")
    line = gateway.access_log_entry(response.headers["X-Request-ID"])
    assert (response.status, line["status"], line["method"]) == (404, 404, "PATCH")


def test_line_is_written_within_seconds(gateway):
    request_id = gateway.call("GET", "/sequences", "ann").headers["X-Request-ID"]
    eventually(lambda: request_id in logged_ids(gateway.directory / "access.log"), 5)


@pytest.mark.parametrize("stop_signal", [signal.SIGQUIT, signal.SIGTERM])
def test_stopped_nginx_loses_no_line(start_gateway, stop_signal):
    gateway = start_gateway()
    responses = [gateway.call("GET", "/sequences", "ann") for _ in range(5)]
    gateway.process.send_signal(stop_signal)
    gateway.process.wait(60)
    assert {response.headers["X-Request-ID"] for response in responses} <= {
        *logged_ids(gateway.directory / "access.log")
    }


def test_lines_of_two_processes_do_not_mix_in_a_full_pipe(start_gateway, pipe):
    path, descriptor = pipe
    capacity = fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BUF)
    gateway = start_gateway(ACCESS_LOG=path)
    ids = [f"mix-{number}" for number in range(REQUESTS)]
    received = bytearray()

    def has_received_all() -> bool:
        with suppress(BlockingIOError):
            received.extend(os.read(descriptor, capacity))
        return received.count(b'"mix-') >= REQUESTS

    def has_blocked_all_processes() -> bool:
        try:
            gateway.call("GET", "/livez", timeout=0.5)
        except TimeoutError:
            return True
        return False

    with ThreadPoolExecutor(32) as pool:
        pool.map(lambda name: gateway.call("GET", "/livez", headers={"X-Request-ID": name}), ids)
        eventually(has_blocked_all_processes)
        eventually(has_received_all)
    logged = [json.loads(line)["request_id"] for line in received.splitlines()]
    assert sorted(name for name in logged if name in ids) == sorted(ids)
