"""Only the gateway sets the user and role of a request, and it enforces the permissions of each role."""

import re

import pytest

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
GATEWAY_HEADERS = {
    "host",
    "x-authenticated-user",
    "x-authenticated-role",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "content-length",
}


def forwarded_headers(gateway, headers, path="/sequences", method="GET", user="ann"):
    return gateway.call(method, path, user, headers=headers).json()["headers"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sequence"),
        ("POST", "/sequences/a/next"),
        ("PUT", "/sequences/a"),
        ("GET", "/api/v1/streams/x/live"),
        ("GET", "/api/v1/streams/x/events"),
        ("GET", "/openapi/event-service.yaml"),
        ("PUT", "/acme_orders/api/v1/orders/import"),
        ("GET", "/source/a/b/1/data/x.csv"),
        ("GET", "/health"),
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
def test_client_cannot_set_user_or_role(gateway, spelling, method, path):
    role = re.sub("user", "role", spelling, flags=re.IGNORECASE)
    headers = [(spelling, "root"), (spelling, " root "), (role, "admin"), ("Connection", f"close, {spelling}, {role}")]
    identity = {
        name: value for name, value in forwarded_headers(gateway, headers, path, method) if "authenticated" in name
    }
    assert identity == {"x-authenticated-user": "ann", "x-authenticated-role": "writer"}


def test_header_name_with_a_trailing_space_is_not_forwarded(gateway):
    line = f"Authorization: {gateway.basic('ann')}\r\nHost: x\r\nConnection: close\r\n"
    response = gateway.send_raw(f"GET /sequences HTTP/1.1\r\n{line}X-Authenticated-User : root\r\n\r\n".encode())
    assert b'"root"' not in response


def test_trailer_is_not_forwarded_as_a_header(gateway):
    head = f"POST /sequences/a/next HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.basic('ann')}\r\n"
    trailer_headers = "Connection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Authenticated-User\r\n\r\n"
    body = "1\r\nx\r\n0\r\nX-Authenticated-User: root\r\n\r\n"
    response = gateway.send_raw((head + trailer_headers + body).encode())
    assert b'["x-authenticated-user", "ann"]' in response and b"root" not in response


@pytest.mark.parametrize("name", ["Authorization-Info", "Cookie", "traceparent"])
def test_other_headers_are_forwarded(gateway, name):
    assert [name.lower(), "v"] in forwarded_headers(gateway, {name: "v"})


def test_forged_client_headers_are_dropped(gateway):
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
    received = forwarded_headers(gateway, dict.fromkeys(forged, "evil"))
    assert {name for name, _ in received} <= GATEWAY_HEADERS
    assert not any("evil" in value for _, value in received)
    assert ["x-forwarded-for", "127.0.0.1"] in received


def test_password_is_not_forwarded(gateway):
    for method, path in (
        ("GET", "/sequence"),
        ("PUT", "/sequences/a"),
        ("GET", "/health"),
        ("GET", "/invariants"),
    ):
        response = gateway.call(method, path, "root")
        assert response.status == 200 and "authorization" not in response.text.lower()


@pytest.mark.parametrize(
    ("sent", "is_kept"),
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
def test_valid_request_id_is_kept_and_invalid_one_is_replaced(gateway, sent, is_kept):
    response = gateway.call("GET", "/sequences", "ann", headers={"X-Request-ID": sent.encode()})
    values = response.headers.get_all("X-Request-ID")
    assert len(values) == 1 and REQUEST_ID.fullmatch(values[0]) and (values[0] == sent) is is_kept
    assert ["x-request-id", values[0]] in response.json()["headers"]
    assert gateway.access_log_entry(values[0])["user"] == "ann"


def test_duplicate_request_ids_are_replaced(gateway):
    response = gateway.call("GET", "/sequences", "ann", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")])
    assert response.headers["X-Request-ID"] not in ("a", "b", "a, b")


def test_headers_of_the_gateway_are_sent_once(gateway):
    forged = {
        "X-Content-Type-Options": "evil",
        "X-Frame-Options": "evil",
        "Referrer-Policy": "evil",
        "X-Request-ID": "evil",
        "Content-Security-Policy": "evil",
        "Server": "evil",
    }
    gateway.services["event"].handler = lambda request: request.send_json(
        200, "x", **{name.replace("-", "_"): value for name, value in forged.items()}
    )
    for path in ("/api/v1/streams/x", "/nothing", "/livez", "/", "/docs/"):
        response = gateway.call("GET", path, "ann")
        for name in forged:
            values = response.headers.get_all(name)
            assert len(values) == 1 and "evil" not in values[0], (path, name)
        assert response.headers["Server"] == "nginx"


# Status of a request for each role: admin, writer, reader, runner.
REQUESTS = [
    ("GET", "/sequences", 200, 200, 200, 403),
    ("HEAD", "/sequences", 200, 200, 200, 403),
    ("OPTIONS", "/sequences", 200, 200, 200, 403),
    ("GET", "/api/v1/streams/x/events", 200, 200, 200, 403),
    ("GET", "/api/v1/streams/x/live", 200, 200, 200, 403),
    ("GET", "/acme_orders/api/v1/orders/import/x/errors.csv", 200, 200, 200, 403),
    ("GET", "/openapi/event-service.yaml", 200, 200, 200, 403),
    ("GET", "/health", 200, 200, 200, 403),
    ("GET", "/style.css", 200, 200, 200, 403),
    ("GET", "/docs/swagger-ui.css", 200, 200, 200, 403),
    ("GET", "/nothing", 404, 404, 404, 403),
    ("GET", "/sequence", 200, 200, 403, 403),
    ("HEAD", "/sequence", 200, 200, 403, 403),
    ("GET", "/batch-sequence?n=2", 200, 200, 403, 403),
    ("GET", "/image-sequence", 200, 200, 403, 403),
    ("GET", "/json-sequence", 200, 200, 403, 403),
    ("GET", "/%73equence", 200, 200, 403, 403),
    ("GET", "/sequences/../sequence", 200, 200, 403, 403),
    ("POST", "/sequences/a/next", 200, 200, 403, 403),
    ("PUT", "/sequences/a", 200, 200, 403, 403),
    ("DELETE", "/sequences/a", 200, 200, 403, 403),
    ("PATCH", "/sequences/a", 200, 200, 403, 403),
    ("POST", "/api/v1/streams/x/events", 200, 200, 403, 403),
    ("PUT", "/acme_orders/api/v1/orders/import", 200, 200, 403, 403),
    ("PUT", "/source/ann/files/a.csv", 200, 200, 403, 403),
    ("PUT", "/api/v1/streams/%2e%2e", 404, 404, 403, 403),
    ("POST", "/nothing", 404, 404, 403, 403),
    ("GET", "/invariants", 200, 403, 403, 403),
    ("GET", "/trace/r-1", 200, 403, 403, 403),
    ("GET", "/dead-letters", 200, 403, 403, 403),
    ("DELETE", "/dead-letters/orders.import", 200, 403, 403, 403),
    ("POST", "/invariants", 200, 403, 403, 403),
    ("GET", "/source/pipelines", 200, 403, 403, 200),
    ("POST", "/source/pipelines", 200, 403, 403, 403),
    ("POST", "/source/update", 200, 200, 403, 200),
    ("POST", "/source/update?jwt=x", 200, 200, 403, 200),
    ("GET", "/source/update", 200, 200, 200, 403),
    ("POST", "/source/update/", 200, 200, 403, 403),
    ("POST", "/source/upload", 200, 200, 403, 403),
    ("GET", "/source/ann", 200, 200, 200, 403),
    ("POST", "/source/ann/files/../../update", 200, 200, 403, 403),
    ("PUT", "/source/update", 200, 200, 403, 403),
]


@pytest.mark.parametrize(("method", "path", "admin", "writer", "reader", "runner"), REQUESTS)
def test_each_role_is_allowed_only_its_requests(gateway, method, path, admin, writer, reader, runner):
    for user, status in {"root": admin, "ann": writer, "rita": reader, "run": runner}.items():
        response = gateway.call(method, path, user, headers={"X-HTTP-Method-Override": "POST"})
        assert response.status == status, (user, response)
        if status == 403 and method != "HEAD":
            assert (response.headers["Content-Type"], response.json()["status"]) == ("application/problem+json", 403)
            assert gateway.access_log_entry(response.headers["X-Request-ID"])["user"] == user
    allowed_count = [admin, writer, reader, runner].count(200)
    assert sum(len(service.requests) for service in gateway.services.values()) in (0, allowed_count)


@pytest.mark.parametrize(
    ("method", "path", "statuses"), [(request[0], request[1], request[2:]) for request in REQUESTS]
)
def test_every_request_without_the_correct_password_returns_401(gateway, method, path, statuses):
    for user in ("", "root", "rita", "run", "unknown"):
        response = gateway.call(method, path, user, user and "wrong")
        assert response.status == 401, user
    assert not any(service.requests for service in gateway.services.values())


def test_changed_role_takes_effect_after_a_reload(gateway):
    gateway.add_user("changing", "reader")
    gateway.reload()
    assert gateway.call("POST", "/sequences/a/next", "changing").status == 403
    gateway.add_user("changing", "writer")
    gateway.reload()
    assert gateway.call("POST", "/sequences/a/next", "changing").status == 200


def test_role_belongs_to_the_exact_name(gateway):
    for name in ("r.ta", "default", "include", "hostnames", "volatile", "x" * 64):
        gateway.add_user(name, "writer")
    gateway.reload()
    assert gateway.call("GET", "/invariants", "r.ta").status == 403
    assert gateway.call("POST", "/sequences/a/next", "r.ta").status == 200
    assert gateway.call("POST", "/sequences/a/next", "rita").status == 403
    for name in ("default", "include", "hostnames", "volatile", "x" * 64):
        assert gateway.call("POST", "/sequences/a/next", name).status == 200
        assert gateway.call("GET", "/invariants", name).status == 403
    for name in ("ROOT", "Root", "root ", "root\t"):  # the password is valid for the exact name only
        assert gateway.call("GET", "/sequences", name, gateway.passwords["root"]).status == 401


@pytest.mark.parametrize(
    "line",
    ['":odd" king;', '":odd" Admin;', '":odd" "admin ";', '":odd" "admin\r";', '":odd" "";', "# odd", '":od" admin;'],
)
def test_user_without_a_valid_role_is_rejected(start_gateway, line):
    gateway = start_gateway()
    gateway.add_user("odd", "reader")
    roles = gateway.directory / "users" / "roles.conf"
    roles.write_text(roles.read_text().replace('":odd" reader;', line))
    gateway.reload()
    for method, path in (("GET", "/sequences"), ("POST", "/sequences/a/next"), ("GET", "/nothing")):
        response = gateway.call(method, path, "odd")
        assert (response.status, response.json()["status"]) == (403, 403)
    assert not any(service.requests for service in gateway.services.values())
