"""A token that comes as ?jwt= stands in no log, whatever becomes of the request."""

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
# More than nginx keeps in memory: of what it writes into a file it tells.
LARGE = b"x" * 400_000


def written(gateway):
    return (gateway.place / "error.log").read_text() + (gateway.place / "access.log").read_text()


def send(gateway, method, path):
    """Once without a token, to see that the error log would tell, and in which order; then with one."""
    body = LARGE if method in ("POST", "PUT") else None
    answers = [gateway.call(method, f"{path}?{query}", "root", body=body) for query in ("limit=1", f"jwt={TOKEN}")]
    gateway.log(answers[1].headers["X-Request-ID"])
    return answers


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_none_is_written_down_where_the_service_is_away(gateway, method, path):
    specstore = gateway.services["specstore"]
    specstore.stop()
    try:
        assert [answer.status for answer in send(gateway, method, path)] == [502, 502]
    finally:
        gateway.services["specstore"] = type(specstore)(specstore.path)
    assert f"{method} {path}?limit=1 HTTP" in written(gateway)
    assert TOKEN not in written(gateway)


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_none_is_written_down_where_the_service_breaks_off(gateway, method, path):
    gateway.services["specstore"].behave = lambda request: request.connection.shutdown(socket.SHUT_RDWR)
    assert [answer.status for answer in send(gateway, method, path)] == [502, 502]
    assert f"{method} {path}?limit=1 HTTP" in written(gateway)
    assert TOKEN not in written(gateway)


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_the_service_gets_it_as_it_was_sent(gateway, method, path):
    plain, with_token = send(gateway, method, path)
    assert (with_token.status, with_token.json()["path"]) == (200, f"{path}?jwt={TOKEN}")
    assert with_token.json()["bytes"] == plain.json()["bytes"] == (len(LARGE) if method in ("POST", "PUT") else 0)
    assert with_token.json()["method"] == method
    assert TOKEN not in written(gateway)


def test_roles_and_passwords_hold_with_one_too(gateway):
    asked = {user: gateway.call("GET", f"/source/pipelines?jwt={TOKEN}", user).status for user in ("ann", "root", "")}
    assert asked == {"ann": 403, "root": 200, "": 401}
    assert gateway.call("POST", f"/source/upload?jwt={TOKEN}", "rita", body=b"x").status == 403
    assert gateway.call("POST", f"/nothing?jwt={TOKEN}", "ann").status == 404
    assert gateway.call("POST", f"/source/upload?jwt={TOKEN}", "ann", body=b"x" * 2**21).status == 413
