import http.client
import threading

import pytest

PATHS = [
    ("/sequence", "sequence"),
    ("/batch-sequence", "sequence"),
    ("/image-sequence", "sequence"),
    ("/json-sequence", "sequence"),
    ("/sequence?n=3", "sequence"),
    ("/sequences", "sequence"),
    ("/sequences/a/next", "sequence"),
    ("/api/v1/streams", "event"),
    ("/api/v1/streams/x/events", "event"),
    ("/api/v1/streams/x/live", "event"),
    ("/api/v1/streams/x/consumers/c/parked", "event"),
    ("/source/ann", "specstore"),
    ("/source/ann/wines/latest?jwt=x", "specstore"),
    ("/source/ann/wines/1/data/a%20b.csv", "specstore"),
    ("/source/ann/files/a/b.csv", "specstore"),
    ("/auth/token", "specstore"),
    ("/api/factories", "factory"),
    ("/api/factories/", "factory"),
    ("/api/factories/load/x", "factory"),
    ("/api/factory/1/chart-data/?points=200", "factory"),
    ("/api/sprockets", "factory"),
    ("/api/sprocket/create/5/6/4/7/", "factory"),
]


@pytest.mark.parametrize(("path", "service"), PATHS)
def test_path_reaches_its_service(gateway, path, service):
    answer = gateway.call("GET", path, "ann")
    assert (answer.status, answer.json()["service"], answer.json()["path"]) == (200, service, path)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/streams/a%2Fb/events",
        "/api/v1/streams/a%20b",
        "/api/v1/streams/%ff",
        "/api/v1/streams/%2e%2e/events",
        "/api/v1/streams/./x",
        "/api/v1/streams//x",
        "/sequences/%C3%A9?x=%2F&y=%00",
        "/api/v1/streams/a;b/\\",
        "/sequences/..%2fx",
        "/sequences/../x",
        "/source/ann/files/a%2Fb",
        "/source/ann/wines/1/data/%2e%2e/x",
        "/source/../x",
    ],
)
def test_path_arrives_as_it_was_sent(gateway, path):
    for method in ("GET", "POST", "PUT"):  # a PUT takes another way inside nginx
        assert gateway.call(method, path, "ann").json()["path"] == path


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "//sequence",
        "/sequence/",
        "/Sequence",
        "/sequencesx",
        "/metrics",
        "/.env",
        "/.git/config",
        "/docs/../auth.js",
        "/docs/swagger-ui.js",
        "/conf/auth.conf",
        "/_auth",
        "/_ask/event/metrics",
        "/_problem",
        "/openapi/nobody-service.yaml",
        "/health/nothing-service",
        "/health/sequence",
        "/api/v1/streamsx",
    ],
)
def test_unknown_path_is_404(gateway, path):
    answer = gateway.call("GET", path, "root")
    assert (answer.status, answer.json()["status"], answer.headers["Content-Type"]) == (
        404,
        404,
        "application/problem+json",
    )
    assert not any(service.seen for service in gateway.services.values())


def test_bodies_and_methods_pass(gateway):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert gateway.call(method, "/sequences/a", "ann", body=b"x" * 1_000_000).json() | {"headers": 0} == {
            "service": "sequence",
            "method": method,
            "path": "/sequences/a",
            "status": "OK",
            "headers": 0,
            "bytes": 1_000_000,
        }


def test_answer_and_error_of_a_service_pass_untouched(gateway):
    for status in (201, 400, 401, 403, 404, 409, 418, 423, 429, 500, 503):
        gateway.services["event"].behave = lambda request, status=status: request.say(
            status, "Locked - mine", ETag='"1"'
        )
        answer = gateway.call("GET", "/api/v1/streams/a", "ann")
        assert (answer.status, answer.text, answer.headers["ETag"]) == (status, '"Locked - mine"', '"1"')
        assert not {"WWW-Authenticate", "Retry-After"} & set(answer.headers)


def test_json_is_compressed_when_asked_and_the_etag_becomes_weak(gateway):
    gateway.services["event"].behave = lambda request: request.say(200, "x" * 5000, ETag='"1"')
    answer = gateway.call("HEAD", "/api/v1/streams/a", "ann", headers={"Accept-Encoding": "gzip"})
    assert (answer.headers["Content-Encoding"], answer.headers["ETag"]) == ("gzip", 'W/"1"')


def test_health_is_that_of_all(gateway):
    for path in ("/health", "/healthcheck", "/info"):
        answer = gateway.call("GET", path, "rita")
        assert (answer.status, answer.json()["status"]) == (200, "OK")
        assert set(answer.json()["services"]) == {f"{word}-service" for word in gateway.services}
        assert answer.json()["services"]["event-service"]["path"] == "/healthcheck"
    gateway.services["event"].behave = lambda request: request.say(200, {"status": "DEGRADED"})
    assert (
        gateway.call("GET", "/health", "ann").status,
        gateway.call("GET", "/health", "ann").json()["status"],
    ) == (503, "DEGRADED")
    gateway.services["event"].behave = lambda request: request.say(503, {"status": "DOWN", "dependencies": {}})
    answer = gateway.call("GET", "/health", "ann")
    assert (answer.status, answer.json()["services"]["event-service"]) == (
        503,
        {"status": "DOWN", "dependencies": {}},
    )
    assert "Retry-After" not in answer.headers or answer.headers["Retry-After"] == "1"


def test_health_of_one(gateway):
    answer = gateway.call("GET", "/health/event-service", "ann")
    assert (answer.status, answer.json()["service"], answer.json()["path"]) == (200, "event", "/healthcheck")
    gateway.services["event"].behave = lambda request: request.say(503, {"status": "DOWN"})
    assert gateway.call("GET", "/health/event-service", "ann").status == 503


def test_the_key_of_tokens_is_open_and_the_plan_of_all_is_for_admins(gateway):
    answer = gateway.call("GET", "/auth/public-key")
    assert (answer.status, answer.json()["service"]) == (200, "specstore")
    assert gateway.call("POST", "/auth/token").status == 401
    assert [gateway.call("GET", "/source/pipelines", user).status for user in ("ann", "rita", "root")] == [
        403,
        403,
        200,
    ]


@pytest.mark.parametrize(
    "query", ["jwt=s3cret", "limit=1&jwt=s3cret&jwt=s3cret", "%6awt=s3cret", "j%77t=s3cret", "JWT=s3cret"]
)
def test_a_token_in_the_query_is_not_written_down(gateway, query):
    answer = gateway.call("GET", f"/source/ann?{query}", "ann")
    assert answer.json()["path"] == f"/source/ann?{query}"
    assert gateway.log(answer.headers["X-Request-ID"])["uri"] == "/source/ann?..."
    assert gateway.log(gateway.call("GET", "/source/ann?limit=1", "ann").headers["X-Request-ID"])["uri"].endswith("=1")


def test_a_file_of_more_than_a_mebibyte_goes_to_the_specs_only(gateway):
    body = b"x" * (2 * 2**20)
    assert gateway.call("PUT", "/source/ann/files/a.csv", "ann", body=body).status == 200
    assert gateway.call("POST", "/source/upload", "ann", body=body).status == 413


def test_livez_is_open(gateway):
    answer = gateway.call("GET", "/livez")
    assert (answer.status, answer.text) == (200, '{"status": "OK"}')


def test_invariants_are_for_admins(gateway):
    assert [gateway.call("GET", "/invariants", user).status for user in ("ann", "rita", "root")] == [
        403,
        403,
        200,
    ]
    answer = gateway.call("GET", "/invariants", "root")
    assert {report["path"] for report in answer.json()["services"].values()} == {"/invariants"}
    gateway.services["event"].behave = lambda request: request.say(200, {"status": "BROKEN", "checks": []})
    answer = gateway.call("GET", "/invariants", "root")
    assert (answer.status, answer.json()["status"]) == (503, "BROKEN")


def test_documents_and_pages(gateway):
    for service in gateway.services:
        answer = gateway.call("GET", f"/openapi/{service}-service.yaml", "rita")
        assert (answer.json()["service"], answer.json()["path"]) == (service, "/openapi.yaml")
    for path in ("/", "/docs/"):
        page = gateway.call("GET", path, "rita")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert all(f"{word}-service" in page.text for word in gateway.services)
        assert "://" not in page.text.replace("$URL", "")  # nothing from another host
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    for path in (
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/docs/docs.js",
        "/style.css",
        "/docs/favicon-32x32.png",
    ):
        assert gateway.call("HEAD", path, "rita").status == 200
        assert gateway.call("HEAD", path).status == 401
    assert gateway.call("GET", "/docs", "ann").headers["Location"] == "/docs/"


def test_live_stream_is_passed_on_as_it_comes(gateway):
    seen = threading.Event()

    def two_events(request):
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.end_headers()
        request.wfile.write(b"data: 1\n\n")
        assert seen.wait(5)
        request.wfile.write(b"data: 2\n\n")
        request.close_connection = True

    gateway.services["event"].behave = two_events
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
    connection.request(
        "GET",
        "/api/v1/streams/x/live",
        headers={"Authorization": gateway.basic("ann"), "Accept-Encoding": "gzip"},
    )
    answer = connection.getresponse()
    assert answer.readline() == b"data: 1\n"
    seen.set()
    assert answer.read() == b"\ndata: 2\n\n"
    connection.close()


def test_a_file_of_orders_may_be_large_and_other_bodies_there_may_not(gateway):
    body = b"x" * (3 * 2**20)
    for method in ("PUT", "POST"):
        answer = gateway.call(method, "/acme_orders/api/v1/orders/import?file_name=a.csv", "ann", body=body)
        assert answer.status == 200
        assert (answer.json()["service"], answer.json()["bytes"]) == ("orders", len(body))
    assert gateway.call("POST", "/acme_orders/api/v1/orders", "ann", body=body).status == 413
