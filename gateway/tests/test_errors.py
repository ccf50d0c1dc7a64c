"""Whatever nginx itself refuses, it refuses as a problem document."""

import json

import pytest


def parsed(answer: bytes) -> tuple[int, dict[str, list[str]], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers.setdefault(name.lower(), []).append(value)
    return int(first.split()[1]), headers, body


HEAD = "Host: x\r\nConnection: close\r\nAuthorization: {}\r\n"
MALFORMED = [
    (b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /api/v1/streams/a%00b/events HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /../x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"garbage\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400),
    (b"GET / HTTP/9.1\r\nHost: x\r\n\r\n", 505),
    (b"POST /sequences HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + b"x" * 9000 + b"\r\n\r\n", 431),
    (
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 8000) for n in range(5)) + b"\r\n",
        431,
    ),
    (b"TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
    (b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\nConnection: close\r\n\r\n", 405),
]


@pytest.mark.parametrize(
    ("data", "status"), MALFORMED, ids=lambda part: repr(part[:30]) if isinstance(part, bytes) else str(part)
)
def test_malformed_request(gateway, data, status):
    got, headers, body = parsed(gateway.raw(data))
    problem = json.loads(body)
    assert (got, problem["status"], headers["content-type"]) == (status, status, ["application/problem+json"])
    assert set(problem) == {"type", "title", "status", "detail", "instance"}
    assert headers["x-request-id"] == [problem["instance"]]
    assert headers["x-content-type-options"] == ["nosniff"]
    assert headers["server"] == ["nginx"]
    assert ("allow" in headers) is (status == 405)
    assert not any(service.seen for service in gateway.services.values())


def test_unauthorized(gateway):
    for answer in (
        gateway.call("GET", "/sequence"),
        gateway.call("GET", "/sequence", "ann", "wrong", address="127.0.0.3"),
    ):
        assert (answer.status, answer.text) == (401, '"Unauthorized"')
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers.get_all("WWW-Authenticate") == ['Basic realm="Quintet"']


@pytest.mark.parametrize(
    "value",
    [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic OnB3",
        "Basic Og==",
        "Bearer abc",
        "Digest username=ann",
        "x",
        "Basic YW5u",
        "Basic " + "QUJD" * 1900,
        "\xff\xfe",
    ],
)
def test_malformed_credentials_return_401(gateway, value):
    answer = gateway.call("GET", "/sequences", headers={"Authorization": value.encode("latin-1")})
    assert (answer.status, answer.text) == (401, '"Unauthorized"')


def test_body_of_more_than_a_mebibyte_is_413(gateway):
    answer = gateway.call("POST", "/sequences/a/next", "ann", headers={"Content-Length": str(1024 * 1024 + 1)})
    assert (answer.status, answer.json()["title"]) == (413, "Content Too Large")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = HEAD.format(gateway.basic("ann"))
    head = f"PUT /sequences/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{head}\r\n".encode()
    assert parsed(gateway.raw(head + chunk * 17))[0] == 413
    assert gateway.services["sequence"].seen == []


@pytest.mark.parametrize("path", ["/", "/docs/", "/style.css", "/livez", "/readyz", "/auth/public-key"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_than_get_and_head_return_405(gateway, method, path):
    answer = gateway.call(method, path, "root", body=b"")
    assert (answer.status, answer.json()["status"], answer.headers["Allow"]) == (405, 405, "GET, HEAD")
    assert not any(service.seen for service in gateway.services.values())


def test_unavailable_service_returns_503_in_the_common_shape(gateway):
    gateway.services["event"].stop()
    try:
        answer = gateway.call("GET", "/api/v1/streams", "ann")
    finally:
        gateway.services["event"] = type(gateway.services["event"])(gateway.services["event"].path)
    assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert (answer.json()["status"], answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("line", ["get /sequences HTTP/1.1", "GET http://evil/sequences HTTP/1.1"])
def test_odd_but_readable_requests_do_no_harm(gateway, line):
    status, _, body = parsed(gateway.raw(f"{line}\r\n{HEAD.format(gateway.basic('ann'))}\r\n".encode()))
    assert status in (200, 400) and json.loads(body)
