"""A token in a query is in no log, whatever becomes of the request."""

import socket

import pytest

TOKEN = "eyJhbGciOiJSUzI1NiJ9.s3cret"
REQUESTS = [
    ("GET", "/source/ann/wines/latest"),
    ("GET", "/source/ann/wines/1/data/reds.csv"),
    ("GET", "/source/pipelines"),
    ("GET", "/source/../source/ann"),
    ("POST", "/source/upload"),
    ("POST", "/source/ann/wines/1/cancel"),
    ("PUT", "/source/ann/files/reds.csv"),
    ("DELETE", "/source/ann/wines"),
]
# More than nginx keeps in memory: it logs a warning for what it writes into a file.
LARGE = b"x" * 400_000


def send(gateway, method, path):
    body = LARGE if method in ("POST", "PUT") else None
    answer = gateway.call(method, f"{path}?jwt={TOKEN}", "root", body=body)
    assert gateway.log(answer.headers["X-Request-ID"])["status"] == answer.status
    logged = (gateway.place / "error.log").read_text() + (gateway.place / "access.log").read_text()
    assert TOKEN not in logged and "s3cret" not in logged
    return answer


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_token_is_not_logged_when_the_service_is_unavailable(gateway, method, path):
    specstore = gateway.services["specstore"]
    specstore.stop()
    try:
        assert send(gateway, method, path).status == 503
    finally:
        gateway.services["specstore"] = type(specstore)(specstore.path)


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_token_is_not_logged_when_the_service_breaks_off(gateway, method, path):
    gateway.services["specstore"].behave = lambda request: request.connection.shutdown(socket.SHUT_RDWR)
    assert send(gateway, method, path).status == 502


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_token_reaches_the_service_unchanged(gateway, method, path):
    answer = send(gateway, method, path)
    assert (answer.status, answer.json()["path"]) == (200, f"{path}?jwt={TOKEN}")
    assert answer.json()["bytes"] == (len(LARGE) if method in ("POST", "PUT") else 0)


def test_token_is_not_logged_when_the_gateway_refuses_the_request(gateway):
    assert gateway.call("POST", f"/source/upload?jwt={TOKEN}", "root", body=b"x" * 2**21).status == 413
    assert gateway.call("POST", f"/nothing?jwt={TOKEN}", "ann").status == 404
    assert gateway.call("GET", f"/source/pipelines?jwt={TOKEN}", "ann").status == 403
    assert gateway.call("GET", f"/source/pipelines?jwt={TOKEN}", "ann", "wrong").status == 401
    send(gateway, "GET", "/source/ann")
