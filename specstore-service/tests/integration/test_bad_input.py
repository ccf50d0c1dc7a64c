"""Every endpoint rejects invalid input with a well-formed 4xx or stores it unchanged, and never returns a 5xx."""

import json

import pytest

TEXTS = [
    "", " ", "\t", "a" * 255, "a" * 256, "a" * 100_000, "\u0000", "\ud800", "é", "é", "\u202ex", "\u200b", "🍷", "a\nb",
    "a\x1bb", "'", '"', ";", "--", "%", "_", "\\", "<script>alert(1)</script>", "../../etc/passwd", "/etc/passwd",
    "C:\\", "__proto__", "constructor", "{{7*7}}", "${jndi:ldap://x}", "'; DROP TABLE flows; --", "\" OR 1=1",
    "$$", "pg_sleep(10)", "!!python/object:os.system", "upload", "files", ".", "..",
]  # fmt: skip
BODIES = [
    b"", b"null", b"[]", b'"x"', b"1", b'{"a":', b"{} x", b"{}{}", b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16"),
    b'{"a":"\xe9"}', b'{"meta":{},"meta":{}}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e400}',
    b'{"a":' + b"9" * 5000 + b"}", b"[" * 100_000, b'{"a":' * 1000 + b"1" + b"}" * 1000,
    b'{"a":"\\u0000"}', b'{"a":"\\ud800"}', b'{"meta":{"owner":true,"ownerid":{}}}',
    b"{" + b",".join(b'"k%d":1' % n for n in range(50_000)) + b"}",
]  # fmt: skip
HEADERS = [
    {"Content-Type": "text/plain"}, {"Content-Type": "application/json; charset=utf-7"},
    {"Content-Type": "application/json", "Content-Encoding": "gzip"}, {},
]  # fmt: skip
POST_PATHS = ["/source/upload", "/source/plan", "/source/update"]


def assert_client_error(response, path):
    assert 400 <= response.status_code < 500, (path, response.status_code, response.data[:300])
    if path.endswith(("/upload", "/retry")):
        assert response.json["success"] is False and response.json["flow_id"] is None and response.json["errors"]
    elif path.endswith("/update"):
        assert response.json["success"] == "fail" and response.json["id"] is None and response.json["errors"]
    else:
        assert response.content_type == "application/problem+json" and response.json["detail"]
    for word in ("Traceback", "psycopg", "SELECT", "/home", ".py"):
        assert word not in response.text


@pytest.fixture
def assert_nothing_stored(api, outbox):
    """Assert after the test that nothing was stored."""
    yield
    assert outbox() == []
    assert api.get("ann").status_code == 404


@pytest.mark.parametrize("path", POST_PATHS)
@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:20]))
def test_malformed_json_body_is_rejected(client, api, assert_nothing_stored, path, body):
    assert_client_error(client.post(path, data=body, content_type="application/json", headers=api.headers), path)


@pytest.mark.parametrize("path", POST_PATHS)
@pytest.mark.parametrize("headers", HEADERS, ids=str)
def test_body_with_another_content_type_is_rejected(client, api, a_spec, assert_nothing_stored, path, headers):
    body = json.dumps({**a_spec(), "pipeline": "x", "event": "start"})
    assert_client_error(client.post(path, data=body, headers={**api.headers, **headers}), path)


def test_too_large_body_is_rejected(client, api, a_spec, assert_nothing_stored):
    for path in POST_PATHS:
        response = client.post(path, json={**a_spec(), "x": "a" * 2**20}, headers=api.headers)
        assert response.status_code == 413
        assert_client_error(response, path)


FIELDS = [
    ("meta", "owner"), ("meta", "ownerid"), ("meta", "dataset"), ("meta", "findability"), ("meta", "version"),
    ("inputs", 0, "kind"), ("inputs", 0, "url"), ("inputs", 0, "parameters", "descriptor", "name"),
    ("inputs", 0, "parameters", "descriptor", "resources", 0, "name"),
    ("inputs", 0, "parameters", "descriptor", "resources", 0, "schema"),
    ("processing",), ("outputs",), ("schedule",),
]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: ".".join(map(str, field)))
def test_unusual_strings_in_a_spec_are_stored_unchanged_or_rejected(client, api, a_spec, a_token, field):
    for text in TEXTS:
        spec = a_spec()
        parent = spec
        for key in field[:-1]:
            parent = parent[key]
        parent[field[-1]] = text
        body = json.dumps(spec)
        response = client.post("/source/upload", data=body, content_type="application/json", headers=api.headers)
        if response.status_code == 200:
            assert api.get(response.json["flow_id"]).json["spec_contents"] == spec
        else:
            assert_client_error(response, "/source/upload")


def test_unusual_strings_in_an_update_are_rejected(client, api):
    flow = api.create_flow()
    for text in TEXTS:
        for field in ("pipeline", "event"):
            body = json.dumps({"pipeline": flow, "event": "start", field: text})
            assert_client_error(
                client.post("/source/update", data=body, content_type="application/json", headers=api.headers),
                "/source/update",
            )
    assert api.get(flow).json["state"] == "QUEUED"


def test_unusual_strings_reported_by_a_runner_are_returned_unchanged(client, api):
    flow = api.create_flow()
    texts = [text for text in TEXTS if text not in ("\u0000", "\ud800")]
    body = {"pipeline": flow, "event": "finish", "success": False, "errors": texts, "log": texts, "stats": {"x": texts}}
    assert client.post("/source/update", json=body, headers=api.headers).status_code == 200
    pipeline = api.get(flow).json["pipelines"][flow]
    assert pipeline["error_log"] == texts and pipeline["stats"] == {"x": texts}


INVALID_PATHS = [
    "/source/%ff/x/1", "/source/%c0%af/x/1", "/source/a%00/x/1", "/source/a%2Fb/x/1", "/source/../x", "/source/./x/1",
    "/source/%2e%2e/x/1", "/source/..;/x/1", "/source//x/1", "//source/ann/wines/1", "/source/ann/wines/1/",
    "/source/ann/wines/1//cancel", "/source/ANN/WINES/1%20", "/source/a\\b/x/1", "/source/upload/x/1",
    "/source/update/x", "/source/ann/files/1", "/source/" + "a" * 8000, "/source/é/x/1", "/source/ann/wines/2147483648",
    "/source/ann/wines/1?jwt[]=x", "/source/ann/wines/1?limit=1", "/source/ann?limit=1e3", "/source/ann?limit=１",
    "/source/ann?limit=1&limit=2", "/source/ann?offset=99999999999999999999", "/source/pipelines?limit=1001",
    "/source/ann?state=' OR 1=1 --", "/source/ann/wines/1;x", "/source/", "/source?after=ann", "/auth/",
    "/auth/token?x=1",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", INVALID_PATHS, ids=lambda path: path[:40])
def test_invalid_path_returns_a_client_error(app, db, method, path):
    response = app.test_client().open(path, method=method, environ_overrides={"RAW_URI": path})
    assert 300 <= response.status_code < 500
    assert "Traceback" not in response.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "FOO", "HEAD"])
def test_unsupported_method_returns_405(client, method):
    for path in (*POST_PATHS, "/auth/token", "/source/ann/wines/1/cancel", "/source/ann/wines/1/retry"):
        response = client.open(path, method=method)
        assert response.status_code == 405 and response.headers["Allow"]


INVALID_TOKENS = [
    "", "x", "a.b.c", "Bearer x", "é", "x" * 8000, "eyJhbGciOiJub25lIn0.e30.", "\x7f", "a,b", " ", "' OR 1=1",
]  # fmt: skip


@pytest.mark.parametrize("token", INVALID_TOKENS, ids=lambda token: token[:10])
def test_invalid_token_grants_no_access(client, api, a_spec, token):
    flow = api.create_flow(findability="private")
    headers = {"Auth-Token": token.encode().decode("latin-1")}
    assert client.post("/source/upload", json=a_spec(), headers=headers).status_code in (400, 401)
    for path in (f"{flow}/cancel", f"{flow}/retry"):
        assert client.post(f"/source/{path}", headers=headers).status_code in (400, 401)
    assert client.get(f"/source/{flow}", headers=headers).status_code in (400, 404)
    assert client.get(f"/source/{flow}", query_string={"jwt": token}).status_code in (400, 404)


def test_repeated_user_header_is_rejected(client):
    response = client.post("/auth/token", headers={"X-Authenticated-User": "ann,ben"})
    assert response.status_code == 400


@pytest.mark.parametrize("count", [501, 10_000])
def test_spec_exceeding_the_limits_is_rejected_with_the_limit(client, api, a_spec, assert_nothing_stored, count):
    resources = [{"name": f"r{n}", "path": f"{n}.csv"} for n in range(count)]
    steps = [{"input": "r0", "output": f"s{n}"} for n in range(count)]
    for spec in (a_spec(resources=resources), a_spec(processing=steps), a_spec(outputs=[{"kind": "zip"}] * count)):
        response = api.upload(spec)
        assert_client_error(response, "/source/upload")
        assert "at most" in response.json["errors"][0]


def test_spec_with_the_maximum_number_of_resources_is_accepted(api, client, a_spec):
    resources = [{"name": f"r{n}", "path": f"{n}.csv"} for n in range(500)]
    flow = api.upload(a_spec(resources=resources)).json["flow_id"]
    assert len(api.get(flow).json["pipelines"]) == 2003
    assert api.finish(f"{flow}/r7_csv").status_code == 200
    assert api.post(f"{flow}/cancel").json["cancelled"] == 2002


def test_circular_processing_steps_are_rejected(api, client, a_spec, assert_nothing_stored):
    for steps in (
        [{"input": "a", "output": "a"}],
        [{"input": "a", "output": "b"}, {"input": "b", "output": "a"}],
    ):
        assert_client_error(api.upload(a_spec(processing=steps)), "/source/upload")
