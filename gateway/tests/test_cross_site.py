"""Other sites' pages change nothing with a user's credentials, and read only what CORS_ORIGINS lets them."""

import subprocess

import pytest

OWN = "http://shop.example:8080"
LISTED = "https://app.example.com"
CHANGES = [
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
def cors(new_gateway):
    return new_gateway(CORS_ORIGINS=f"https://other.example,{LISTED},http://localhost:3000")


def call(gateway, method, path, user="ann", **headers):
    sent = {"Host": "shop.example:8080"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.call(method, path, user, headers=sent, body=b"" if method != "GET" else None)


@pytest.mark.parametrize(("method", "path"), CHANGES)
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
        {"Origin": LISTED},
        {"Origin": OWN, "Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://evil|evil|"},
        {"Sec_Fetch_Site": "same-origin, cross-site"},
        {"Sec_Fetch_Site": "unknown"},
    ],
)
def test_state_changing_request_of_another_site_is_refused(gateway, method, path, headers):
    answer = call(gateway, method, path, **headers)
    assert (answer.status, answer.headers["Content-Type"]) == (403, "application/problem+json")
    assert "Another site's page" in answer.json()["detail"]
    assert not any(service.seen for service in gateway.services.values())
    assert gateway.log(answer.headers["X-Request-ID"])["user"] == "ann"


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": OWN},
        {"Origin": "https://shop.example:8080", "Sec_Fetch_Site": "same-origin"},
    ],
)
def test_own_pages_and_programs_may_change_things(gateway, method, path, headers):
    assert call(gateway, method, path, **headers).status == 200


@pytest.mark.parametrize(("method", "path"), READS)
def test_reads_of_another_site_are_harmless_and_allowed(gateway, method, path):
    answer = call(gateway, method, path, Origin="https://evil.example", Sec_Fetch_Site="cross-site")
    assert answer.status == 200
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_cors_is_off_by_default(gateway):
    answer = call(gateway, "OPTIONS", "/sequences", "", Origin=LISTED, Access_Control_Request_Method="POST")
    assert answer.status == 401
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("origin", ["https://other.example", LISTED, "http://localhost:3000"])
def test_listed_origin_may_send_requests_and_read_responses(cors, origin):
    preflight = call(cors, "OPTIONS", "/sequences/a", "", Origin=origin, Access_Control_Request_Method="PUT")
    assert (preflight.status, preflight.text) == (204, "")
    assert preflight.headers["Access-Control-Allow-Origin"] == origin
    assert {"PUT", "DELETE"} <= set(preflight.headers["Access-Control-Allow-Methods"].split(", "))
    assert {"Authorization", "Idempotency-Key"} <= set(preflight.headers["Access-Control-Allow-Headers"].split(", "))
    assert cors.services["sequence"].seen == []
    for method, path in [*CHANGES, ("GET", "/sequences"), ("GET", "/nothing")]:
        answer = call(cors, method, path, Origin=origin, Sec_Fetch_Site="cross-site")
        assert answer.status == (404 if path == "/nothing" else 200)
        assert answer.headers.get_all("Access-Control-Allow-Origin") == [origin]
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.headers.get_all("Vary")
        assert answer.headers["Access-Control-Allow-Methods"] is None
    cors.services["sequence"].seen.clear()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.co", "https://app.example.com.evil.example", "example", ","]
)
def test_origin_that_is_not_listed_is_refused(cors, origin):
    assert call(cors, "OPTIONS", "/sequences/a", "", Origin=origin, Access_Control_Request_Method="PUT").status == 401
    answer = call(cors, "PUT", "/sequences/a", Origin=origin)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (403, None)


def test_listed_origin_still_needs_a_password_and_a_role(cors):
    assert call(cors, "PUT", "/sequences/a", "", Origin=LISTED).status == 401
    answer = call(cors, "PUT", "/sequences/a", "rita", Origin=LISTED)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (403, LISTED)


def test_configuration_of_the_gateway_with_every_setting_is_valid(cors):
    assert subprocess.run([*cors.nginx, "-t", "-q"], capture_output=True).returncode == 0
