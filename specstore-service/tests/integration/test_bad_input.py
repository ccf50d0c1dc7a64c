"""What FAULTS.md lists, against every endpoint: a 4xx in the right shape, or taken and given back; never a 5xx."""

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
POSTED = ["/source/upload", "/source/plan", "/source/update"]


def check(answer, path):
    assert 400 <= answer.status_code < 500, (path, answer.status_code, answer.data[:300])
    if path.endswith(("/upload", "/retry")):
        assert answer.json["success"] is False and answer.json["flow_id"] is None and answer.json["errors"]
    elif path.endswith("/update"):
        assert answer.json["success"] == "fail" and answer.json["id"] is None and answer.json["errors"]
    else:
        assert answer.content_type == "application/problem+json" and answer.json["detail"]
    for word in ("Traceback", "psycopg", "SELECT", "/home", ".py"):
        assert word not in answer.text


@pytest.fixture
def unchanged(api, outbox):
    """Nothing is stored by what goes wrong."""
    yield
    assert outbox() == []
    assert api.status("ann").status_code == 404


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:20]))
def test_a_body_that_is_none(client, api, unchanged, path, body):
    check(client.post(path, data=body, content_type="application/json", headers=api.headers), path)


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("headers", HEADERS, ids=str)
def test_a_body_that_is_not_said_to_be_json(client, api, a_spec, unchanged, path, headers):
    body = json.dumps({**a_spec(), "pipeline": "x", "event": "start"})
    check(client.post(path, data=body, headers={**api.headers, **headers}), path)


def test_a_body_that_is_too_large(client, api, a_spec, unchanged):
    for path in POSTED:
        answer = client.post(path, json={**a_spec(), "x": "a" * 2**20}, headers=api.headers)
        assert answer.status_code == 413
        check(answer, path)


FIELDS = [
    ("meta", "owner"), ("meta", "ownerid"), ("meta", "dataset"), ("meta", "findability"), ("meta", "version"),
    ("inputs", 0, "kind"), ("inputs", 0, "url"), ("inputs", 0, "parameters", "descriptor", "name"),
    ("inputs", 0, "parameters", "descriptor", "resources", 0, "name"),
    ("inputs", 0, "parameters", "descriptor", "resources", 0, "schema"),
    ("processing",), ("outputs",), ("schedule",),
]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: ".".join(map(str, field)))
def test_odd_texts_in_a_spec_are_kept_as_they_are_or_refused(client, api, a_spec, a_token, field):
    for text in TEXTS:
        spec = a_spec()
        place = spec
        for part in field[:-1]:
            place = place[part]
        place[field[-1]] = text
        body = json.dumps(spec)
        answer = client.post("/source/upload", data=body, content_type="application/json", headers=api.headers)
        if answer.status_code == 200:
            assert api.status(answer.json["flow_id"]).json["spec_contents"] == spec
        else:
            check(answer, "/source/upload")


def test_odd_texts_in_an_update_are_refused(client, api):
    flow = api.uploaded()
    for text in TEXTS:
        for field in ("pipeline", "event"):
            body = json.dumps({"pipeline": flow, "event": "start", field: text})
            check(
                client.post("/source/update", data=body, content_type="application/json", headers=api.headers),
                "/source/update",
            )
    assert api.status(flow).json["state"] == "QUEUED"


def test_odd_texts_that_a_runner_tells_are_given_back(client, api):
    flow = api.uploaded()
    kept = [text for text in TEXTS if text not in ("\u0000", "\ud800")]
    body = {"pipeline": flow, "event": "finish", "success": False, "errors": kept, "log": kept, "stats": {"x": kept}}
    assert client.post("/source/update", json=body, headers=api.headers).status_code == 200
    told = api.status(flow).json["pipelines"][flow]
    assert told["error_log"] == kept and told["stats"] == {"x": kept}


RAW = [
    "/source/%ff/x/1", "/source/%c0%af/x/1", "/source/a%00/x/1", "/source/a%2Fb/x/1", "/source/../x", "/source/./x/1",
    "/source/%2e%2e/x/1", "/source/..;/x/1", "/source//x/1", "//source/ann/wines/1", "/source/ann/wines/1/",
    "/source/ann/wines/1//cancel", "/source/ANN/WINES/1%20", "/source/a\\b/x/1", "/source/upload/x/1",
    "/source/update/x", "/source/ann/files/1", "/source/" + "a" * 8000, "/source/é/x/1", "/source/ann/wines/2147483648",
    "/source/ann/wines/1?jwt[]=x", "/source/ann/wines/1?limit=1", "/source/ann?limit=1e3", "/source/ann?limit=１",
    "/source/ann?limit=1&limit=2", "/source/ann?offset=99999999999999999999", "/source/pipelines?limit=1001",
    "/source/ann?state=' OR 1=1 --", "/source/ann/wines/1;x", "/source/", "/source", "/auth/", "/auth/token?x=1",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", RAW, ids=lambda path: path[:40])
def test_a_path_that_is_none(app, db, method, path):
    answer = app.test_client().open(path, method=method, environ_overrides={"RAW_URI": path})
    assert 300 <= answer.status_code < 500
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "FOO", "HEAD"])
def test_another_method_is_405(client, method):
    for path in (*POSTED, "/auth/token", "/source/ann/wines/1/cancel", "/source/ann/wines/1/retry"):
        answer = client.open(path, method=method)
        assert answer.status_code == 405 and answer.headers["Allow"]


TOKENS = ["", "x", "a.b.c", "Bearer x", "é", "x" * 8000, "eyJhbGciOiJub25lIn0.e30.", "\x7f", "a,b", " ", "' OR 1=1"]


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:10])
def test_a_token_that_is_none_opens_nothing(client, api, a_spec, token):
    flow = api.uploaded(findability="private")
    headers = {"Auth-Token": token.encode().decode("latin-1")}
    assert client.post("/source/upload", json=a_spec(), headers=headers).status_code in (400, 401)
    for path in (f"{flow}/cancel", f"{flow}/retry"):
        assert client.post(f"/source/{path}", headers=headers).status_code in (400, 401)
    assert client.get(f"/source/{flow}", headers=headers).status_code in (400, 404)
    assert client.get(f"/source/{flow}", query_string={"jwt": token}).status_code in (400, 404)


def test_who_asks_is_said_once(client):
    answer = client.post("/auth/token", headers={"X-Authenticated-User": "ann,ben"})
    assert answer.status_code == 400


@pytest.mark.parametrize("count", [501, 10_000])
def test_a_spec_with_more_than_can_be_run_is_refused_in_words(client, api, a_spec, unchanged, count):
    resources = [{"name": f"r{n}", "path": f"{n}.csv"} for n in range(count)]
    steps = [{"input": "r0", "output": f"s{n}"} for n in range(count)]
    for spec in (a_spec(resources=resources), a_spec(processing=steps), a_spec(outputs=[{"kind": "zip"}] * count)):
        answer = api.upload(spec)
        check(answer, "/source/upload")
        assert "at most" in answer.json["errors"][0]


def test_as_many_as_can_be_run_are_taken(api, client, a_spec):
    resources = [{"name": f"r{n}", "path": f"{n}.csv"} for n in range(500)]
    flow = api.upload(a_spec(resources=resources)).json["flow_id"]
    assert len(api.status(flow).json["pipelines"]) == 2003
    assert api.finish(f"{flow}/r7_csv").status_code == 200
    assert api.post(f"{flow}/cancel").json["cancelled"] == 2002


def test_steps_in_a_circle_come_to_an_end(api, client, a_spec, unchanged):
    for steps in (
        [{"input": "a", "output": "a"}],
        [{"input": "a", "output": "b"}, {"input": "b", "output": "a"}],
    ):
        check(api.upload(a_spec(processing=steps)), "/source/upload")
