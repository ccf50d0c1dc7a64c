"""Who a request is from is nobody's word but the gateway's."""

import re

import pytest

ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
OURS = {
    "host",
    "x-authenticated-user",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "content-length",
}


def arrived(gateway, headers, path="/sequences", method="GET", user="ann"):
    return gateway.call(method, path, user, headers=headers).json()["headers"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sequence"),
        ("POST", "/sequences/a/next"),
        ("PUT", "/sequences/a"),
        ("GET", "/api/v1/streams/x/live"),
        ("GET", "/api/v1/streams/x/events"),
        ("GET", "/api/v1/streams/%2e%2e"),
        ("GET", "/openapi/event-service.yaml"),
    ],
)
@pytest.mark.parametrize(
    "spelling",
    [
        "X-Authenticated-User",
        "x-authenticated-user",
        "X_Authenticated_User",
        "X.Authenticated.User",
        "X-Authenticated_User",
    ],
)
def test_client_cannot_name_another_user(gateway, spelling, method, path):
    headers = [(spelling, "root"), (spelling, " root "), ("Connection", f"close, {spelling}")]
    got = [value for name, value in arrived(gateway, headers, path, method) if "authenticated" in name]
    assert got == ["ann"]


def test_user_name_with_a_trailing_blank_before_the_colon_is_refused(gateway):
    line = f"Authorization: {gateway.basic('ann')}\r\nHost: x\r\nConnection: close\r\n"
    answer = gateway.raw(f"GET /sequences HTTP/1.1\r\n{line}X-Authenticated-User : root\r\n\r\n".encode())
    assert b'"root"' not in answer


def test_trailer_is_no_header(gateway):
    head = f"POST /sequences/a/next HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.basic('ann')}\r\n"
    more = "Connection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Authenticated-User\r\n\r\n"
    body = "1\r\nx\r\n0\r\nX-Authenticated-User: root\r\n\r\n"
    answer = gateway.raw((head + more + body).encode())
    assert b'["x-authenticated-user", "ann"]' in answer and b"root" not in answer


@pytest.mark.parametrize(
    "name",
    [
        "Authorization-Info",
        "Cookie",
    ],
)
def test_other_headers_pass(gateway, name):
    assert [name.lower(), "v"] in arrived(gateway, {name: "v"})


def test_nothing_else_about_the_client_passes(gateway):
    forged = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-User",
        "X-Real-IP",
        "Forwarded",
        "X-Original-URL",
        "X-Rewrite-URL",
        "Script-Name",
        "SCRIPT_NAME",
        "Remote-User",
        "Proxy",
        "X-HTTP-Method-Override",
        "Proxy-Connection-Evil_",
        "Upgrade",
    ]
    got = arrived(gateway, dict.fromkeys(forged, "evil"))
    assert {name for name, _ in got} <= OURS
    assert not any("evil" in value for _, value in got)
    assert ["x-forwarded-for", "127.0.0.1"] in got


def test_password_stops_at_the_gateway(gateway):
    for method, path in (
        ("GET", "/sequence"),
        ("PUT", "/sequences/a"),
        ("GET", "/health"),
        ("GET", "/invariants"),
    ):
        answer = gateway.call(method, path, "root")
        assert answer.status == 200 and "authorization" not in answer.text.lower()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("abc.DEF_1-2", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("a b", False),
        ("a/b", False),
        ("é", False),
        ("", False),
        ('"', False),
    ],
)
def test_request_id_is_checked(gateway, sent, kept):
    answer = gateway.call("GET", "/sequences", "ann", headers={"X-Request-ID": sent.encode()})
    given = answer.headers.get_all("X-Request-ID")
    assert len(given) == 1 and ID.fullmatch(given[0]) and (given[0] == sent) is kept
    assert ["x-request-id", given[0]] in answer.json()["headers"]
    assert gateway.log(given[0])["user"] == "ann"


def test_two_request_ids_are_none(gateway):
    answer = gateway.call("GET", "/sequences", "ann", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")])
    assert answer.headers["X-Request-ID"] not in ("a", "b", "a, b")


def test_health_checks_carry_the_request_id(gateway):
    report = gateway.call("GET", "/health", "ann", headers={"X-Request-ID": "mine"}).json()["services"]["event-service"]
    assert ["x-request-id", "mine"] in report["headers"] and ["x-authenticated-user", "ann"] in report["headers"]


def test_headers_of_the_gateway_come_once(gateway):
    own = {
        "X-Content-Type-Options": "evil",
        "X-Frame-Options": "evil",
        "Referrer-Policy": "evil",
        "X-Request-ID": "evil",
        "Content-Security-Policy": "evil",
        "Server": "evil",
    }
    gateway.services["event"].behave = lambda request: request.say(
        200, "x", **{k.replace("-", "_"): v for k, v in own.items()}
    )
    for path in ("/api/v1/streams/x", "/nothing", "/livez", "/", "/docs/"):
        answer = gateway.call("GET", path, "ann")
        for name in own:
            values = answer.headers.get_all(name)
            assert len(values) == 1 and "evil" not in values[0], (path, name)
        assert answer.headers["Server"] == "nginx"


READER = [
    ("GET", "/sequences", 200),
    ("HEAD", "/sequences", 200),
    ("GET", "/api/v1/streams/x/events", 200),
    ("GET", "/sequence", 403),
    ("HEAD", "/sequence", 403),
    ("GET", "/batch-sequence?n=2", 403),
    ("GET", "/image-sequence", 403),
    ("GET", "/json-sequence", 403),
    ("GET", "/%73equence", 403),
    ("GET", "/sequences/../sequence", 403),
    ("POST", "/sequences/a/next", 403),
    ("PUT", "/sequences/a", 403),
    ("DELETE", "/sequences/a", 403),
    ("PATCH", "/sequences/a", 403),
    ("OPTIONS", "/sequences", 403),
    ("FOO", "/sequences", 403),
    ("POST", "/api/v1/streams/x/events", 403),
    ("PUT", "/api/v1/streams/%2e%2e", 403),
    ("POST", "/nothing", 403),
    ("GET", "/invariants", 403),
]


@pytest.mark.parametrize(("method", "path", "status"), READER)
def test_reader_only_reads(gateway, method, path, status):
    for _ in range(2):  # the first answer may come from a check, the second from the verdict kept
        answer = gateway.call(method, path, "rita", headers={"X-HTTP-Method-Override": "POST"})
        assert answer.status == status
    if status == 403 and method != "HEAD":
        assert (answer.headers["Content-Type"], answer.json()["title"]) == (
            "application/problem+json",
            "Forbidden",
        )
        assert gateway.log(answer.headers["X-Request-ID"])["user"] == "rita"


def test_first_request_of_a_reader_is_refused_too(gateway):
    gateway.users("add", "ron", "--role", "reader", PASSWORD="x")
    assert gateway.call("POST", "/sequences/a/next", "ron", "x", address="127.0.0.9").status == 403
    assert gateway.services["sequence"].seen == []


@pytest.mark.parametrize(("method", "path", "status"), READER)
def test_nobody_is_401_everywhere(gateway, method, path, status):
    answer = gateway.call(method, path)
    assert answer.status == 401
    assert not any(service.seen for service in gateway.services.values())


def test_a_changed_role_holds_within_ten_seconds(gateway):
    gateway.users("add", "moves", "--role", "reader", PASSWORD="x")
    draws = [gateway.call("POST", "/sequences/a/next", "moves", "x").status for _ in range(3)]
    assert draws == [403] * 3
    gateway.users("add", "moves", "--role", "writer", PASSWORD="x")
    gateway.eventually(lambda: gateway.call("POST", "/sequences/a/next", "moves", "x").status == 200, 9)
    gateway.users("add", "moves", "--role", "reader", PASSWORD="x")
    gateway.eventually(lambda: gateway.call("POST", "/sequences/a/next", "moves", "x").status == 403, 9)


def test_role_goes_by_the_exact_name(gateway):
    gateway.users("add", "Root", PASSWORD="x")
    gateway.users("add", "r.ta", "--role", "writer", PASSWORD="x")
    assert gateway.call("GET", "/invariants", "Root", "x").status == 403
    assert gateway.call("POST", "/sequences/a/next", "r.ta", "x").status == 200
