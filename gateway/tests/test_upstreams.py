"""Services that die, hang, restart, or have several replicas."""

import http.client
import os
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quintet_testing.waiting import eventually

STATE_CHANGES = [
    ("GET", "/sequence"),
    ("GET", "/batch-sequence?n=2"),
    ("GET", "/image-sequence"),
    ("GET", "/json-sequence"),
    ("POST", "/sequences/a/next"),
    ("PUT", "/sequences/a"),
    ("DELETE", "/sequences/a"),
    ("PATCH", "/sequences/a"),
    ("PUT", "/api/v1/streams/x/events"),
    ("DELETE", "/api/v1/streams/x/live"),
]


def close_without_response(request):
    request.close_connection = True


@pytest.fixture(scope="module")
def two_replicas(start_gateway):
    """Two services with two replicas each; the process of the other service is the second replica.

    As with DNS names, nginx does not record failures of a replica.
    """
    return start_gateway(
        lambda text: re.sub(
            r'server "(unix:\S+)/(sequence|event).sock";',
            r'server "\1/sequence.sock" max_fails=0; server "\1/event.sock" max_fails=0;',
            text,
        )
    )


@pytest.fixture
def replicas(two_replicas):
    services = two_replicas.services.values()
    for service in services:
        service.handler = None
        service.requests.clear()
    return two_replicas


@pytest.mark.parametrize(("method", "path"), STATE_CHANGES)
def test_state_changing_request_is_never_retried(replicas, method, path):
    for service in replicas.services.values():
        service.handler = close_without_response
    for _ in range(3):
        response = replicas.call(method, path, "ann", body=b"{}" if method in ("POST", "PUT", "PATCH") else None)
        assert (response.status, response.headers["Content-Type"]) == (502, "application/problem+json")
    assert sum(len(service.requests) for service in replicas.services.values()) <= 3, path


def test_read_is_retried_on_another_replica(replicas):
    replicas.services["event"].handler = close_without_response
    assert [replicas.call("GET", "/sequences", "ann").status for _ in range(20)] == [200] * 20


def test_unreachable_replica_is_skipped(replicas):
    event = replicas.services["event"]
    event.stop()
    try:
        for method, path in (("GET", "/sequences"), ("POST", "/sequences/a/next")):
            assert [replicas.call(method, path, "ann").status for _ in range(20)] == [200] * 20
    finally:
        replicas.services["event"] = type(event)(event.path)


def test_unavailable_service_returns_503_and_is_rediscovered(gateway):
    sequence = gateway.services["sequence"]
    sequence.stop()
    try:
        for method, path in (
            ("GET", "/sequence"),
            ("POST", "/sequences/a/next"),
            ("PUT", "/sequences/a"),
            ("GET", "/openapi/sequence-service.yaml"),
        ):
            response = gateway.call(method, path, "ann")
            assert (response.status, response.json()["status"], response.headers["Retry-After"]) == (503, 503, "1")
            assert "was not sent" in response.json()["detail"]
        assert gateway.call("GET", "/api/v1/streams", "ann").status == 200
    finally:
        gateway.services["sequence"] = type(sequence)(sequence.path)
    assert gateway.call("GET", "/sequence", "ann").status == 200


def test_name_without_an_address_returns_503(start_gateway):
    """In containers, this is the case while no replica of a service exists."""
    gateway = start_gateway(
        lambda text: text.replace("set $upstream sequence-web;", "set $upstream sequence-web.invalid:1;")
    )
    response = gateway.call("GET", "/sequences", "ann")
    assert (response.status, response.json()["status"], response.headers["Retry-After"]) == (503, 503, "1")


@pytest.mark.slow
def test_response_timeout_returns_504(start_gateway):
    gateway = start_gateway(lambda text: text.replace("proxy_read_timeout 65s;", "proxy_read_timeout 1s;"))
    finished = threading.Event()
    gateway.services["event"].handler = lambda request: finished.wait(60)
    response = gateway.call("GET", "/api/v1/streams/a/events", "ann")
    finished.set()
    assert (response.status, response.json()["status"], response.headers["Retry-After"]) == (504, 504, None)
    assert "same Idempotency-Key" in response.json()["detail"]


@pytest.mark.slow
def test_append_does_not_have_the_time_of_a_long_poll(start_gateway):
    gateway = start_gateway(lambda text: text.replace("proxy_read_timeout 65s;", "proxy_read_timeout 1s;"))

    def respond_slowly(request):
        threading.Event().wait(2)
        request.send_json(200, "id")

    gateway.services["event"].handler = respond_slowly
    assert gateway.call("POST", "/api/v1/streams/a/events", "ann", body=b"{}").status == 200
    assert gateway.call("GET", "/api/v1/streams/a/events", "ann").status == 504


def test_connections_to_a_service_are_reused(gateway):
    peers = set()

    def record_connection(request):
        peers.add(id(request.connection))
        request.send_json(200, "x")

    gateway.services["event"].handler = record_connection
    for _ in range(50):
        assert gateway.call("GET", "/api/v1/streams", "ann").status == 200
    assert len(peers) <= 4


@pytest.mark.slow
def test_long_polls_do_not_block_other_requests(gateway):
    finished = threading.Event()

    def wait_if_requested(request):
        if "wait" in request.path:
            finished.wait(60)
        request.send_json(200, [])

    gateway.services["event"].handler = wait_if_requested
    with ThreadPoolExecutor(100) as pool:
        waiting = [pool.submit(gateway.call, "GET", "/api/v1/streams/x/events?wait=60", "ann") for _ in range(100)]
        eventually(lambda: len(gateway.services["event"].requests) == 100)
        assert gateway.call("GET", "/api/v1/streams", "ann").status == 200
        assert not any(future.done() for future in waiting)
        finished.set()
        assert {future.result().status for future in waiting} == {200}


@pytest.mark.slow
def test_reload_does_not_close_a_connection_in_use(start_gateway):
    gateway, finished = start_gateway(RATE_LIMITS="off"), threading.Event()

    def send_requests(_):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        statuses = set()
        while not finished.is_set():
            connection.request("GET", "/sequences", headers={"Authorization": gateway.basic("ann")})
            response = connection.getresponse()
            response.read()
            statuses.add(response.status)
        connection.close()
        return statuses

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(send_requests, number) for number in range(8)]
        for _ in range(5):
            gateway.reload()
        finished.set()
        assert [client.result() for client in clients] == [{200}] * 8


def test_names_of_upstreams_end_with_the_domain():
    """The resolver of nginx ignores search domains, on which Kubernetes relies for short names."""
    rendered = render(SERVICES="sequence", UPSTREAM_DOMAIN="quintet.svc.cluster.local", RESOLVER="10.96.0.10")
    targets = set(re.findall(r"proxy_pass (\S+);", rendered))
    assert targets == {"http://$upstream.quintet.svc.cluster.local:8000"}
    assert "resolver 10.96.0.10 valid=1s" in rendered
    assert set(re.findall(r"proxy_pass (\S+);", render(SERVICES="sequence"))) == {"http://$upstream:8000"}


def test_name_server_is_that_of_the_machine():
    servers = re.findall(r"^nameserver\s+(\S+)", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
    expected = servers[0] if servers else "127.0.0.11"
    assert f"resolver {f'[{expected}]' if ':' in expected else expected} valid=1s" in render(SERVICES="sequence")


def render(**variables):
    """Return the configuration for a container, in which upstreams are names instead of sockets."""
    environment = {"PATH": os.environ["PATH"], **variables}
    script = Path(__file__).parents[1] / "render.sh"
    return subprocess.run(["sh", script], env=environment, capture_output=True, text=True, check=True).stdout
