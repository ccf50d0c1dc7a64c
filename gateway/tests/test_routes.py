"""Routing of paths to services, forwarding of requests and responses, and the gateway's own pages."""

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
    ("/api/factory/1/chart-data.csv", "factory"),
    ("/api/factory/1/production", "factory"),
    ("/api/sprockets", "factory"),
    ("/api/sprocket/create/5/6/4/7/", "factory"),
    ("/api/v1/events?request_id=x", "event"),
    ("/acme_orders", "orders"),
    ("/acme_orders/api/v1/orders.csv", "orders"),
    ("/console/datasets/ann/wines/1/data/a.csv", "console"),
    ("/health", "console"),
    ("/healthcheck", "console"),
    ("/info", "console"),
    ("/health/event-service", "console"),
]


@pytest.mark.parametrize(("path", "service"), PATHS)
def test_path_reaches_its_service(gateway, path, service):
    response = gateway.call("GET", path, "ann")
    assert (response.status, response.json()["service"], response.json()["path"]) == (200, service, path)


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
        "/source/ann/files/a%2Fb",
        "/source/ann/wines/1/data/%2e%2e/x",
        "/source/x/../../source/y",
    ],
)
def test_path_is_forwarded_as_sent(gateway, path):
    for method in ("GET", "POST", "PUT"):  # a PUT has a different handler
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
        "/metrics/recent",
        "/metrics/backlog",
        "/sequence-web/metrics",
        "/sequence-worker/metrics",
        "/.env",
        "/.git/config",
        "/docs/../users.py",
        "/sequences/../x",
        "/sequences/..%2fx",
        "/docs/swagger-ui.js",
        "/conf/access.conf",
        "/_problem",
        "/_unauthorized",
        "/_upstream_failed",
        "/openapi/unknown-service.yaml",
        "/openapi/console-service.yaml",
        "/api/v1/streamsx",
    ],
)
def test_unknown_path_returns_404(gateway, path):
    response = gateway.call("GET", path, "root")
    assert (response.status, response.json()["status"], response.headers["Content-Type"]) == (
        404,
        404,
        "application/problem+json",
    )
    assert not any(service.requests for service in gateway.services.values())


def test_bodies_and_methods_are_forwarded(gateway):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert gateway.call(method, "/sequences/a", "ann", body=b"x" * 1_000_000).json() | {"headers": 0} == {
            "service": "sequence",
            "method": method,
            "path": "/sequences/a",
            "status": "OK",
            "headers": 0,
            "bytes": 1_000_000,
        }


def test_responses_of_a_service_are_forwarded_unchanged(gateway):
    for status in (201, 400, 401, 403, 404, 409, 418, 423, 429, 500, 503, 504):
        gateway.services["event"].handler = lambda request, status=status: request.send_json(
            status, "Locked by the service", ETag='"1"'
        )
        response = gateway.call("GET", "/api/v1/streams/a", "ann")
        assert (response.status, response.text, response.headers["ETag"]) == (status, '"Locked by the service"', '"1"')
        assert not {"WWW-Authenticate", "Retry-After"} & set(response.headers)


def test_compressed_json_has_a_weak_etag(gateway):
    gateway.services["event"].handler = lambda request: request.send_json(200, "x" * 5000, ETag='"1"')
    response = gateway.call("HEAD", "/api/v1/streams/a", "ann", headers={"Accept-Encoding": "gzip"})
    assert (response.headers["Content-Encoding"], response.headers["ETag"]) == ("gzip", 'W/"1"')


@pytest.mark.parametrize(
    ("path", "service", "forwarded_path"),
    [
        ("/auth/public-key", "specstore", "/auth/public-key"),
        ("/source/ann/files/../../../auth/public-key", "specstore", "/auth/public-key"),
        ("/readyz", "console", "/readyz"),
        ("/health/%2e%2e/readyz", "console", "/readyz"),
    ],
)
def test_open_endpoint_forwards_a_fixed_path_without_a_user(gateway, path, service, forwarded_path):
    for user, password in (("", None), ("root", None), ("root", "wrong")):
        response = gateway.call("GET", path, user, password)
        assert (response.status, response.json()["service"], response.json()["path"]) == (200, service, forwarded_path)
        assert not [name for name, _ in response.json()["headers"] if "auth" in name]
        assert gateway.access_log_entry(response.headers["X-Request-ID"])["user"] == ""
    assert gateway.call("POST", "/auth/token").status == 401


@pytest.mark.parametrize(
    "query",
    [
        "jwt=s3cret",
        "limit=1&jwt=s3cret&jwt=s3cret",
        "%6awt=s3cret",
        "j%77t=s3cret",
        "JWT=s3cret",
        "access_token=s3cret",
        "password=s3cret",
        "q=eyJhbGciOiJSUzI1NiJ9.s3cret",
        "jwt%3Ds3cret",
        "jwt;s3cret",
        "api_key=s3cret",
    ],
)
def test_token_in_the_query_is_not_logged(gateway, query):
    response = gateway.call("GET", f"/source/ann?{query}", "ann")
    assert response.json()["path"] == f"/source/ann?{query}"
    assert gateway.access_log_entry(response.headers["X-Request-ID"])["uri"] == "/source/ann?..."
    assert gateway.access_log_entry(gateway.call("GET", "/source/ann?limit=1", "ann").headers["X-Request-ID"])[
        "uri"
    ].endswith("=1")


def test_large_body_is_accepted_for_specstore_files_only(gateway):
    body = b"x" * (2 * 2**20)
    assert gateway.call("PUT", "/source/ann/files/a.csv", "ann", body=body).status == 200
    assert gateway.call("POST", "/source/upload", "ann", body=body).status == 413


@pytest.mark.parametrize(
    "token",
    [
        "eyJhbGciOiJSUzI1NiJ9.s3cret.s1gnature",
        "eyJhbGciOiJSUzI1NiJ9%2es3cret%2es1gnature",
        "%65%79%4AhbGciOiJSUzI1NiJ9.s3cret.s1gnature",
        "ey%4ahbGci.s3cret",
        "eyJhbGci%252es3cret",
        "eyJ!x.s3cret",
    ],
)
def test_token_in_the_path_is_not_logged(gateway, token):
    response = gateway.call("GET", f"/source/ann/{token}/latest", "ann")
    assert response.json()["path"] == f"/source/ann/{token}/latest"
    line = gateway.access_log_entry(response.headers["X-Request-ID"])
    assert line["uri"] == "/source/ann/..."


def test_livez_responds_without_a_password(gateway):
    response = gateway.call("GET", "/livez")
    assert (response.status, response.text) == (200, '{"status": "OK"}\n')
    assert gateway.call("HEAD", "/livez").status == 200


def test_openapi_documents_and_pages_are_served(gateway):
    services = [name for name in gateway.services if name != "console"]
    for service in services:
        response = gateway.call("GET", f"/openapi/{service}-service.yaml", "rita")
        assert (response.json()["service"], response.json()["path"]) == (service, "/openapi.yaml")
    response = gateway.call("GET", "/openapi/console.yaml", "rita")
    assert (response.json()["service"], response.json()["path"]) == ("console", "/openapi.yaml")
    page = gateway.call("GET", "/docs/", "rita")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert all(f"{name}-service" in page.text for name in services) and "<option>console</option>" in page.text
    assert "://" not in page.text  # nothing from another host
    for path in (
        "/console/assets/console.css",
        "/console/assets/console.js",
        "/console/assets/icon.svg",
        "/console/assets/vendor/htmx-4.min.js",
        "/console/assets/vendor/uPlot.iife.js",
        "/console/assets/vendor/uPlot.min.css",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/docs/docs.js",
        "/style.css",
        "/docs/favicon-32x32.png",
    ):
        assert gateway.call("HEAD", path, "rita").status == 200
        assert gateway.call("HEAD", path).status == 401
    assert gateway.call("GET", "/docs", "ann").text == gateway.call("GET", "/docs/", "ann").text


@pytest.mark.parametrize("path", ["/", "/?a=b", "/console", "/console/sequences?offset=50"])
def test_pages_of_the_console_may_only_run_scripts_of_their_own(gateway, path):
    response = gateway.call("GET", path, "rita")
    assert (response.json()["service"], response.json()["path"]) == ("console", path)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy


def test_live_stream_is_forwarded_without_buffering(gateway):
    first_received = threading.Event()

    def send_two_events(request):
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.end_headers()
        request.wfile.write(b"data: 1\n\n")
        assert first_received.wait(60)
        request.wfile.write(b"data: 2\n\n")
        request.close_connection = True

    gateway.services["event"].handler = send_two_events
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    connection.request(
        "GET",
        "/api/v1/streams/x/live",
        headers={"Authorization": gateway.basic("ann"), "Accept-Encoding": "gzip"},
    )
    response = connection.getresponse()
    assert response.readline() == b"data: 1\n"
    first_received.set()
    assert response.read() == b"\ndata: 2\n\n"
    connection.close()


def test_large_body_is_accepted_for_order_imports_only(gateway):
    body = b"x" * (3 * 2**20)
    for method in ("PUT", "POST"):
        response = gateway.call(method, "/acme_orders/api/v1/orders/import?file_name=a.csv", "ann", body=body)
        assert response.status == 200
        assert (response.json()["service"], response.json()["bytes"]) == ("orders", len(body))
    assert gateway.call("POST", "/acme_orders/api/v1/orders", "ann", body=body).status == 413
