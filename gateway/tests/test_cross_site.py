"""Pages of other sites cannot change data with a user's credentials, and can read only if CORS_ORIGINS lists them."""

import subprocess

import pytest

OWN_ORIGIN = "http://shop.example:8080"
LISTED_ORIGIN = "https://app.example.com"
STATE_CHANGES = [
    ("POST", "/sequences/a/next"),
    ("PUT", "/sequences/a"),
    ("DELETE", "/sequences/a"),
    ("GET", "/sequence"),
    ("GET", "/batch-sequence?n=2"),
    ("PUT", "/acme_orders/api/v1/orders/import"),
    ("POST", "/api/sprocket/create/1/2/3/4/"),
    ("POST", "/source/update"),
]
READS = [("GET", "/sequences"), ("GET", "/api/v1/streams/a/live"), ("GET", "/"), ("GET", "/acme_orders")]


@pytest.fixture(scope="module")
def cors_gateway(start_gateway):
    return start_gateway(CORS_ORIGINS=f"https://other.example,{LISTED_ORIGIN},http://localhost:3000")


def call(gateway, method, path, user="ann", **headers):
    all_headers = {"Host": "shop.example:8080"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.call(method, path, user, headers=all_headers, body=b"" if method != "GET" else None)


@pytest.mark.parametrize(("method", "path"), STATE_CHANGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://shop.example"},
        {"Origin": "http://shop.example:8080.evil.example"},
        {"Origin": "http://evil.example|shop.example:8080"},
        {"Origin": LISTED_ORIGIN},
        {"Origin": OWN_ORIGIN, "Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://evil|evil|"},
        {"Sec_Fetch_Site": "same-origin, cross-site"},
        {"Sec_Fetch_Site": "unknown"},
    ],
)
def test_state_changing_request_of_another_site_is_rejected(gateway, method, path, headers):
    response = call(gateway, method, path, **headers)
    assert (response.status, response.headers["Content-Type"]) == (403, "application/problem+json")
    assert "Another site's page" in response.json()["detail"]
    assert not any(service.requests for service in gateway.services.values())
    assert gateway.access_log_entry(response.headers["X-Request-ID"])["user"] == "ann"


@pytest.mark.parametrize(("method", "path"), STATE_CHANGES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": OWN_ORIGIN},
        {"Origin": "https://shop.example:8080", "Sec_Fetch_Site": "same-origin"},
    ],
)
def test_own_pages_and_programs_may_change_data(gateway, method, path, headers):
    assert call(gateway, method, path, **headers).status == 200


@pytest.mark.parametrize(("method", "path"), READS)
def test_reads_of_another_site_are_allowed_without_cors_headers(gateway, method, path):
    response = call(gateway, method, path, Origin="https://evil.example", Sec_Fetch_Site="cross-site")
    assert response.status == 200
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


def test_cors_is_off_by_default(gateway):
    response = call(gateway, "OPTIONS", "/sequences", "", Origin=LISTED_ORIGIN, Access_Control_Request_Method="POST")
    assert response.status == 401
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("origin", ["https://other.example", LISTED_ORIGIN, "http://localhost:3000"])
def test_listed_origin_may_send_requests_and_read_responses(cors_gateway, origin):
    preflight = call(cors_gateway, "OPTIONS", "/sequences/a", "", Origin=origin, Access_Control_Request_Method="PUT")
    assert (preflight.status, preflight.text) == (204, "")
    assert preflight.headers["Access-Control-Allow-Origin"] == origin
    assert {"PUT", "DELETE"} <= set(preflight.headers["Access-Control-Allow-Methods"].split(", "))
    assert {"Authorization", "Idempotency-Key"} <= set(preflight.headers["Access-Control-Allow-Headers"].split(", "))
    assert cors_gateway.services["sequence"].requests == []
    for method, path in [*STATE_CHANGES, ("GET", "/sequences"), ("GET", "/nothing")]:
        response = call(cors_gateway, method, path, Origin=origin, Sec_Fetch_Site="cross-site")
        assert response.status == (404 if path == "/nothing" else 200)
        assert response.headers.get_all("Access-Control-Allow-Origin") == [origin]
        assert "X-Request-ID" in response.headers["Access-Control-Expose-Headers"]
        assert "Origin" in response.headers.get_all("Vary")
        assert response.headers["Access-Control-Allow-Methods"] is None
    cors_gateway.services["sequence"].requests.clear()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.co", "https://app.example.com.evil.example", "example", ","]
)
def test_unlisted_origin_is_rejected(cors_gateway, origin):
    assert (
        call(cors_gateway, "OPTIONS", "/sequences/a", "", Origin=origin, Access_Control_Request_Method="PUT").status
        == 401
    )
    response = call(cors_gateway, "PUT", "/sequences/a", Origin=origin)
    assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (403, None)


def test_listed_origin_still_needs_a_password_and_a_role(cors_gateway):
    assert call(cors_gateway, "PUT", "/sequences/a", "", Origin=LISTED_ORIGIN).status == 401
    response = call(cors_gateway, "PUT", "/sequences/a", "rita", Origin=LISTED_ORIGIN)
    assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (403, LISTED_ORIGIN)


def test_configuration_with_cors_origins_is_valid(cors_gateway):
    assert subprocess.run([*cors_gateway.nginx, "-t", "-q"], capture_output=True).returncode == 0
