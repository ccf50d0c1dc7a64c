"""Every error of nginx itself is a problem document."""

import json

import pytest


def parse(raw_response: bytes) -> tuple[int, dict[str, list[str]], bytes]:
    head, _, body = raw_response.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers.setdefault(name.lower(), []).append(value)
    return int(first.split()[1]), headers, body


COMMON_HEADERS = "Host: x\r\nConnection: close\r\nAuthorization: {}\r\n"
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
def test_malformed_request_returns_problem_document(gateway, data, status):
    received_status, headers, body = parse(gateway.send_raw(data))
    problem = json.loads(body)
    assert body.endswith(b"\n")
    assert (received_status, problem["status"], headers["content-type"]) == (
        status,
        status,
        ["application/problem+json"],
    )
    assert set(problem) == {"type", "title", "status", "detail", "instance"}
    assert headers["x-request-id"] == [problem["instance"]]
    assert headers["x-content-type-options"] == ["nosniff"]
    assert headers["server"] == ["nginx"]
    assert ("allow" in headers) is (status == 405)
    assert not any(service.requests for service in gateway.services.values())


def test_missing_or_wrong_credentials_return_401(gateway):
    for response in (
        gateway.call("GET", "/sequence"),
        gateway.call("GET", "/sequence", "ann", "wrong", address="127.0.0.3"),
    ):
        assert (response.status, response.text) == (401, '"Unauthorized"\n')
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        assert response.headers.get_all("WWW-Authenticate") == ['Basic realm="Quintet"']


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
    response = gateway.call("GET", "/sequences", headers={"Authorization": value.encode("latin-1")})
    assert (response.status, response.text) == (401, '"Unauthorized"\n')


def test_body_larger_than_one_mebibyte_returns_413(gateway):
    response = gateway.call("POST", "/sequences/a/next", "ann", headers={"Content-Length": str(1024 * 1024 + 1)})
    assert (response.status, response.json()["title"]) == (413, "Content Too Large")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = COMMON_HEADERS.format(gateway.basic("ann"))
    head = f"PUT /sequences/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{head}\r\n".encode()
    assert parse(gateway.send_raw(head + chunk * 17))[0] == 413
    assert gateway.services["sequence"].requests == []


@pytest.mark.parametrize(
    "path", ["/docs/", "/style.css", "/console/assets/icon.svg", "/livez", "/readyz", "/auth/public-key"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_methods_other_than_get_and_head_return_405(gateway, method, path):
    response = gateway.call(method, path, "root", body=b"")
    assert (response.status, response.json()["status"], response.headers["Allow"]) == (405, 405, "GET, HEAD")
    assert not any(service.requests for service in gateway.services.values())


def test_unavailable_service_returns_503_in_the_common_shape(gateway):
    gateway.services["event"].stop()
    try:
        response = gateway.call("GET", "/api/v1/streams", "ann")
    finally:
        gateway.services["event"] = type(gateway.services["event"])(gateway.services["event"].path)
    assert (response.status, response.headers["Content-Type"]) == (503, "application/problem+json")
    assert (response.json()["status"], response.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("line", ["get /sequences HTTP/1.1", "GET http://evil/sequences HTTP/1.1"])
def test_unusual_request_line_returns_a_json_response(gateway, line):
    status, _, body = parse(gateway.send_raw(f"{line}\r\n{COMMON_HEADERS.format(gateway.basic('ann'))}\r\n".encode()))
    assert status in (200, 400) and json.loads(body)
