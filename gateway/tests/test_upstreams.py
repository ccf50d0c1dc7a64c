"""Services that die, hang, come back, or are several."""

import http.client
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from quintet_testing.waiting import eventually

CHANGES = [
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


def dies(request):
    """Accepts the request and breaks off without an answer."""
    request.close_connection = True


@pytest.fixture(scope="module")
def two_replicas(new_gateway):
    """Two services twice; the second replica of each is the other's stand-in.

    No record of faults is kept, as with names of DNS.
    """
    return new_gateway(
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
        service.behave = None
        service.seen.clear()
    return two_replicas


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_state_changing_request_is_never_repeated(replicas, method, path):
    for service in replicas.services.values():
        service.behave = dies
    for _ in range(3):
        answer = replicas.call(method, path, "ann", body=b"{}" if method in ("POST", "PUT", "PATCH") else None)
        assert (answer.status, answer.headers["Content-Type"]) == (502, "application/problem+json")
    assert sum(len(service.seen) for service in replicas.services.values()) <= 3, path


def test_read_goes_to_the_other_replica_when_one_dies(replicas):
    replicas.services["event"].behave = dies
    assert [replicas.call("GET", "/sequences", "ann").status for _ in range(20)] == [200] * 20


def test_dead_replica_is_skipped_while_nothing_was_sent(replicas):
    event = replicas.services["event"]
    event.stop()
    try:
        for method, path in (("GET", "/sequences"), ("POST", "/sequences/a/next")):
            assert [replicas.call(method, path, "ann").status for _ in range(20)] == [200] * 20
    finally:
        replicas.services["event"] = type(event)(event.path)


def test_unavailable_service_returns_503_within_seconds_and_is_found_again(gateway):
    sequence = gateway.services["sequence"]
    sequence.stop()
    try:
        for method, path in (
            ("GET", "/sequence"),
            ("POST", "/sequences/a/next"),
            ("PUT", "/sequences/a"),
            ("GET", "/openapi/sequence-service.yaml"),
        ):
            began = time.monotonic()
            answer = gateway.call(method, path, "ann")
            assert (answer.status, answer.json()["status"], answer.headers["Retry-After"]) == (503, 503, "1")
            assert "was not sent" in answer.json()["detail"]
            assert time.monotonic() - began < 5
        assert gateway.call("GET", "/api/v1/streams", "ann").status == 200
    finally:
        gateway.services["sequence"] = type(sequence)(sequence.path)
    assert gateway.call("GET", "/sequence", "ann").status == 200


def test_name_without_an_address_returns_503(new_gateway):
    """As in the containers, while no replica of a service exists."""
    gateway = new_gateway(
        lambda text: text.replace("set $upstream sequence-web;", "set $upstream sequence-web.invalid:1;")
    )
    answer = gateway.call("GET", "/sequences", "ann")
    assert (answer.status, answer.json()["status"], answer.headers["Retry-After"]) == (503, 503, "1")


def test_service_that_responds_too_late_returns_504(new_gateway):
    gateway = new_gateway(lambda text: text.replace("proxy_read_timeout 65s;", "proxy_read_timeout 1s;"))
    over = threading.Event()
    gateway.services["event"].behave = lambda request: over.wait(20)
    answer = gateway.call("GET", "/api/v1/streams/a/events", "ann")
    over.set()
    assert (answer.status, answer.json()["status"], answer.headers["Retry-After"]) == (504, 504, None)
    assert "same Idempotency-Key" in answer.json()["detail"]


def test_connections_to_a_service_are_kept(gateway):
    peers = set()

    def note(request):
        peers.add(id(request.connection))
        request.say(200, "x")

    gateway.services["event"].behave = note
    for _ in range(50):
        assert gateway.call("GET", "/api/v1/streams", "ann").status == 200
    assert len(peers) <= 4


def test_waiting_readers_leave_others_unharmed(gateway):
    def waits(request):
        if "wait" in request.path:
            time.sleep(4)
        request.say(200, [])

    gateway.services["event"].behave = waits
    with ThreadPoolExecutor(100) as pool:
        waiting = [pool.submit(gateway.call, "GET", "/api/v1/streams/x/events?wait=4", "ann") for _ in range(100)]
        eventually(lambda: len(gateway.services["event"].seen) == 100)
        began = time.monotonic()
        assert gateway.call("GET", "/api/v1/streams", "ann").status == 200
        assert time.monotonic() - began < 2
        assert {future.result().status for future in waiting} == {200}


def test_a_reload_breaks_off_no_connection_that_is_in_use(new_gateway):
    gateway, over = new_gateway(RATE_LIMITS="off"), threading.Event()

    def use(_):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        statuses = set()
        while not over.is_set():
            connection.request("GET", "/sequences", headers={"Authorization": gateway.basic("ann")})
            answer = connection.getresponse()
            answer.read()
            statuses.add(answer.status)
        connection.close()
        return statuses

    with ThreadPoolExecutor(8) as pool:
        users = [pool.submit(use, number) for number in range(8)]
        for _ in range(5):
            gateway.reload()
        over.set()
        assert [user.result() for user in users] == [{200}] * 8
