"""While a file names an upstream, its standby receives every request, from the next request on and without a reload."""

import http.client
import threading

import pytest

REQUESTS = [
    ("GET", "/sequence"),
    ("GET", "/sequences"),
    ("PUT", "/sequences/a"),
    ("POST", "/sequences/a/next"),
    ("GET", "/openapi/sequence-service.yaml"),
]


@pytest.fixture
def standby(gateway):
    """Yield a function that selects the standby of an upstream, which is ready before, or the upstream itself."""
    folder = gateway.directory / "run" / "standby"
    folder.mkdir()
    sockets = {"sequence-web": "sequence", "console": "console", "specstore-web": "specstore", "orders-web": "orders"}
    service = type(gateway.services["sequence"])
    services = {
        name: service(gateway.directory / "sockets" / f"{socket}-standby.sock") for name, socket in sockets.items()
    }

    def select(upstream, is_standby=True):
        file = folder / upstream
        if is_standby:
            file.touch()
        else:
            file.unlink()

    yield select
    for server in services.values():
        server.stop()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_standby_receives_requests_of_every_kind_while_it_is_selected(gateway, standby, method, path):
    def receiver():
        return gateway.call(method, path, "ann", body=b"{}" if method in ("POST", "PUT") else None).json()["service"]

    assert receiver() == "sequence"
    standby("sequence-web")
    assert receiver() == "sequence-standby"
    assert gateway.call("GET", "/api/v1/streams", "ann").json()["service"] == "event"
    standby("sequence-web", is_standby=False)
    assert receiver() == "sequence"


def test_standby_receives_uploads_and_requests_without_a_password(gateway, standby):
    for upstream in ("orders-web", "console", "specstore-web"):
        standby(upstream)
    upload = gateway.call("PUT", "/acme_orders/api/v1/orders/import", "ann", body=b"x" * 100_000).json()
    assert (upload["service"], upload["bytes"]) == ("orders-standby", 100_000)
    assert gateway.call("GET", "/readyz").json()["service"] == "console-standby"
    assert gateway.call("GET", "/auth/public-key").json()["service"] == "specstore-standby"
    headers = dict(gateway.call("GET", "/health", "ann").json()["headers"])
    assert (headers["x-authenticated-user"], headers["x-authenticated-role"]) == ("ann", "writer")


def test_request_in_progress_ends_at_the_upstream_that_received_it(gateway, standby):
    has_arrived, may_end = threading.Event(), threading.Event()

    def respond_late(request):
        has_arrived.set()
        may_end.wait(60)
        request.send_json(200, {"service": request.server.name})

    sequence = gateway.services["sequence"]
    sequence.handler = respond_late
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    try:
        connection.request("POST", "/sequences/a/next", b"{}", {"Authorization": gateway.basic("ann")})
        assert has_arrived.wait(60)
        standby("sequence-web")
        assert gateway.call("POST", "/sequences/a/next", "ann", body=b"{}").json()["service"] == "sequence-standby"
        may_end.set()
        assert b'"sequence"' in connection.getresponse().read()
    finally:
        sequence.handler = None
        connection.close()
