"""A token in a query is never logged, regardless of the outcome of the request."""

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
# Larger than nginx's memory buffer: it logs a warning when it writes a body to a file.
LARGE_BODY = b"x" * 400_000


def send(gateway, method, path):
    body = LARGE_BODY if method in ("POST", "PUT") else None
    response = gateway.call(method, f"{path}?jwt={TOKEN}", "root", body=body)
    assert gateway.access_log_entry(response.headers["X-Request-ID"])["status"] == response.status
    log_text = (gateway.directory / "error.log").read_text() + (gateway.directory / "access.log").read_text()
    assert TOKEN not in log_text and "s3cret" not in log_text
    return response


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_token_is_not_logged_when_the_service_is_unavailable(gateway, method, path):
    specstore = gateway.services["specstore"]
    specstore.stop()
    try:
        assert send(gateway, method, path).status == 503
    finally:
        gateway.services["specstore"] = type(specstore)(specstore.path)


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_token_is_not_logged_when_the_service_closes_the_connection(gateway, method, path):
    gateway.services["specstore"].handler = lambda request: request.connection.shutdown(socket.SHUT_RDWR)
    assert send(gateway, method, path).status == 502


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_token_reaches_the_service_unchanged(gateway, method, path):
    response = send(gateway, method, path)
    assert (response.status, response.json()["path"]) == (200, f"{path}?jwt={TOKEN}")
    assert response.json()["bytes"] == (len(LARGE_BODY) if method in ("POST", "PUT") else 0)


def test_token_is_not_logged_when_the_gateway_rejects_the_request(gateway):
    assert gateway.call("POST", f"/source/upload?jwt={TOKEN}", "root", body=b"x" * 2**21).status == 413
    assert gateway.call("POST", f"/nothing?jwt={TOKEN}", "ann").status == 404
    assert gateway.call("GET", f"/source/pipelines?jwt={TOKEN}", "ann").status == 403
    assert gateway.call("GET", f"/source/pipelines?jwt={TOKEN}", "ann", "wrong").status == 401
    send(gateway, "GET", "/source/ann")
