"""Streamed uploads: the response has the common shape regardless of when the service fails."""

import http.client
import json
import socket
import threading
from contextlib import closing, suppress

import pytest

from quintet_testing.waiting import eventually

PATHS = ["/api/factories/load", "/acme_orders/api/v1/orders/import", "/source/ann/files/a.csv"]
SERVICES = dict(zip(PATHS, ("factory", "orders", "specstore"), strict=True))
SIZES = [4 * 1024 * 1024, 300_000]


def upload(gateway, path, size):
    """Return the response to a large body, which is sent completely or until the connection is closed.

    Repeat it while it is rejected because nginx has not yet closed the connections of earlier uploads.
    """
    response = send_body(gateway, path, size)
    while response[0] == 429:
        response = send_body(gateway, path, size)
    return response


def send_body(gateway, path, size):
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)) as connection:
        connection.putrequest("POST", path)
        connection.putheader("Authorization", gateway.basic("ann"))
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        with suppress(OSError):
            connection.send(b"x" * size)
        with connection.getresponse() as response:
            return response.status, response.headers, response.read()


def assert_problem(expected, status, headers, body):
    assert (status, headers["Content-Type"]) == (expected, "application/problem+json"), body
    assert json.loads(body)["status"] == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", PATHS)
def test_unavailable_service_returns_503_in_the_common_shape(gateway, path, size):
    name = SERVICES[path]
    service = gateway.services[name]
    service.stop()
    try:
        for _ in range(5):
            assert_problem(503, *upload(gateway, path, size))
    finally:
        gateway.services[name] = type(service)(service.path)
    assert upload(gateway, path, size)[0] == 200


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", PATHS)
def test_service_that_dies_during_the_request_returns_502_in_the_common_shape(gateway, path, size):
    service = gateway.services[SERVICES[path]]
    service.handler = lambda request: request.connection.shutdown(socket.SHUT_RDWR)
    assert_problem(502, *upload(gateway, path, size))
    service.handler = None
    assert upload(gateway, path, size)[0] == 200


GIBIBYTE = 2**30
MAX_BYTES = {
    "/api/factories/load": GIBIBYTE // 4,
    "/acme_orders/api/v1/orders/import": 2 * GIBIBYTE,
    "/source/ann/files/a.csv": GIBIBYTE,
}


@pytest.mark.parametrize("path", PATHS)
def test_service_receives_the_largest_upload_while_it_is_sent_and_a_larger_one_is_rejected(gateway, path):
    service, is_reached = gateway.services[SERVICES[path]], threading.Event()
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.basic('ann')}\r\n"
    service.on_request = is_reached.set
    try:
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(f"{head}Content-Length: {MAX_BYTES[path]}\r\n\r\nx".encode())
            assert is_reached.wait(60)
    finally:
        service.on_request = lambda: None
    headers = {"Content-Length": str(MAX_BYTES[path] + 1)}
    eventually(lambda: gateway.call("PUT", path, "ann", headers=headers).status == 413)


@pytest.mark.parametrize(
    ("content_type", "size", "status"),
    [("text/csv", 12_000_000, 200), ("text/csv", 300 * 1024 * 1024, 413), ("application/json", 12_000_000, 413)],
)
def test_body_of_production_is_limited_by_its_type(gateway, content_type, size, status):
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)) as connection:
        connection.putrequest("POST", "/api/factory/1/production")
        headers = {"Authorization": gateway.basic("ann"), "Content-Type": content_type, "Content-Length": str(size)}
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(b"x" * size if status == 200 else None)
        assert connection.getresponse().status == status
