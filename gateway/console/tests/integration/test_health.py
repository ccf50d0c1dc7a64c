"""Health, readiness and invariants of all services, through the console's real web process."""

import itertools
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from quintet_testing.waiting import eventually


def set_response(service, status, body):
    service.respond = lambda request: request.send_json(status, body)


@pytest.mark.parametrize("path", ["/health", "/healthcheck", "/info"])
def test_health_is_ok_if_all_services_are(get, services, path):
    response = get(path)
    assert response.status_code == 200
    assert response.json() == {
        "status": "OK",
        "services": {f"{name}-service": {"status": "OK", "service": f"{name}-service"} for name in services},
    }
    assert list(response.json()["services"]) == [f"{name}-service" for name in services]
    assert response.headers["Cache-Control"] == "no-store"
    assert all(service.requests[0][0] == "/healthcheck" for service in services.values())


@pytest.mark.parametrize(
    ("reports", "status"),
    [
        ({"event": (200, "DEGRADED")}, "DEGRADED"),
        ({"event": (200, "DEGRADED"), "orders": (200, "DEGRADED")}, "DEGRADED"),
        ({"event": (503, "DOWN")}, "DOWN"),
        ({"event": (503, "DOWN"), "orders": (200, "DEGRADED")}, "DOWN"),
        ({"event": (200, "unknown")}, "DOWN"),
    ],
)
def test_health_returns_503_with_the_worst_status(get, services, reports, status):
    for name, (code, reported) in reports.items():
        set_response(services[name], code, {"status": reported, "dependencies": {}})
    response = get("/health")
    assert (response.status_code, response.json()["status"]) == (503, status)
    assert response.headers["Retry-After"] == "1"
    assert response.json()["services"]["event-service"] == {"status": reports["event"][1], "dependencies": {}}


def test_requests_to_services_carry_user_role_and_request_id(get, services):
    identity = {"X-Request-ID": "request-1", "X-Authenticated-User": "ann", "X-Authenticated-Role": "writer"}
    get("/health", **{name.replace("-", "_"): value for name, value in identity.items()})
    assert all(identity.items() <= service.requests[0][1].items() for service in services.values())


@pytest.mark.parametrize("body", [["OK"], "OK", {"status": 1}, None, {}])
def test_response_without_a_status_counts_as_down(get, services, body):
    set_response(services["event"], 200, body)
    response = get("/health")
    assert (response.status_code, response.json()["status"]) == (503, "DOWN")
    assert response.json()["services"]["event-service"]["error"] == "responded with 200 and no report"


def test_response_that_is_not_json_counts_as_down(get, services):
    def send_html(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"<html>")

    services["event"].respond = send_html
    assert get("/health").json()["services"]["event-service"] == {
        "status": "DOWN",
        "service": "event-service",
        "error": "the response is not a report",
    }


def test_service_that_closes_the_connection_is_unreachable(get, services):
    services["event"].respond = lambda request: request.connection.close()
    assert get("/health").json()["services"]["event-service"]["error"] == "unreachable"


def test_service_without_a_process_is_unreachable(get, services):
    path = services["event"].server_address
    os.rename(path, f"{path}.moved")
    try:
        response = get("/health")
        assert response.json()["services"]["event-service"]["error"] == "unreachable"
        assert response.json()["services"]["sequence-service"]["status"] == "OK"
        eventually(lambda: get("/readyz").status_code == 503)
    finally:
        os.rename(f"{path}.moved", path)
    assert get("/health").status_code == 200


def test_unresponsive_services_are_down_after_one_timeout(get, services):
    finished = threading.Event()
    for service in services.values():
        service.respond = lambda request: finished.wait(60)
    response = get("/health")
    finished.set()
    assert response.status_code == 503
    assert {report["error"] for report in response.json()["services"].values()} == {"no response within 2 s"}


def test_services_are_requested_concurrently(get, services):
    """Each service responds only after all of them have been requested."""
    barrier = threading.Barrier(len(services))

    def respond_together(request):
        barrier.wait(60)
        request.send_json(200, {"status": "OK"})

    for service in services.values():
        service.respond = respond_together
    assert get("/health").status_code == 200


@pytest.mark.parametrize(
    ("code", "report", "expected"),
    [(200, {"status": "OK"}, 200), (200, {"status": "DEGRADED"}, 200), (503, {"status": "DOWN"}, 503)],
)
def test_health_of_one_service_is_its_own_report(get, services, code, report, expected):
    set_response(services["event"], code, report)
    response = get("/health/event-service")
    assert (response.status_code, response.json()) == (expected, report)
    assert not services["sequence"].requests


@pytest.mark.parametrize("path", ["/health/unknown-service", "/health/event", "/health/", "/nothing", "/metrics"])
def test_unknown_path_returns_404(get, services, path):
    response = get(path)
    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/health", "/health/event-service", "/readyz", "/invariants"])
def test_other_methods_return_405_without_requesting_services(get, services, path):
    response = get(path, "POST")
    assert (response.status_code, response.json()["status"]) == (405, 405)
    assert "GET" in response.headers["Allow"]
    assert not any(service.requests for service in services.values())


@pytest.mark.parametrize(
    ("code", "status", "is_ready"),
    [(200, "OK", True), (200, "DEGRADED", True), (503, "DOWN", False), (200, "?", False)],
)
def test_readiness_has_no_details(get, services, code, status, is_ready):
    set_response(services["event"], code, {"status": status, "dependencies": {"postgres": "secret"}})
    expected = 200 if is_ready else 503

    def find_body():
        # Each of the two processes caches a result for one second.
        response = get("/readyz")
        return response.status_code == expected and response.json()

    assert eventually(find_body) == {"status": "OK" if is_ready else "DOWN"}


def test_readiness_is_checked_at_most_once_a_second(get, services):
    with ThreadPoolExecutor(30) as pool:
        started_at = time.monotonic()
        statuses = {response.status_code for response in pool.map(lambda _: get("/readyz"), range(150))}
        seconds = time.monotonic() - started_at
    assert statuses <= {200, 503}
    # Each of the two processes checks at most once a second.
    assert len(services["event"].requests) <= 2 * (seconds + 1)


def test_invariants_are_aggregated_and_a_broken_one_returns_503(get, services):
    response = get("/invariants")
    assert (response.status_code, response.json()["status"]) == (200, "OK")
    assert all(service.requests[0][0] == "/invariants" for service in services.values())
    set_response(services["event"], 200, {"status": "BROKEN", "checks": ["x" * 100] * 3000})
    response = get("/invariants")
    assert (response.status_code, response.json()["status"]) == (503, "BROKEN")
    assert len(response.json()["services"]["event-service"]["checks"]) == 3000


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["SUCCESS", "SUCCESS", "SUCCESS"], "SUCCESS"),
        (["SUCCESS", "FAILURE", "SUCCESS"], "FAILURE"),
        (["FAILURE", "PROGRESS", "SUCCESS"], "PROGRESS"),
        (["PENDING", "PROGRESS", "SUCCESS"], "PENDING"),
        (["SUCCESS", None, "SUCCESS"], None),
    ],
)
def test_full_runs_of_all_services_are_requested_and_aggregated(get, services, statuses, expected):
    for service, status in itertools.zip_longest(services.values(), statuses, fillvalue="SUCCESS"):
        report = {"status": "BROKEN", "checks": [], "full": status and {"status": status, "checks": []}}
        service.respond = lambda request, report=report: request.send_json(202, report)
    response = get("/invariants?full=1")
    assert (response.status_code, response.json()["status"], response.json()["full"]) == (202, "BROKEN", expected)
    assert "Retry-After" not in response.headers
    assert [service.requests[0][0] for service in services.values()] == ["/invariants?full=1"] * len(services)


def test_full_run_is_not_accepted_unless_every_service_starts_it(get, services):
    for service in services.values():
        service.respond = lambda request: request.send_json(202, {"status": "OK", "checks": [], "full": None})
    set_response(services["event"], 503, {"status": 503})
    response = get("/invariants?full=1")
    assert (response.status_code, response.json()["full"]) == (503, None)


@pytest.mark.parametrize("query", ["full=2", "x=1", "full=1&full=1"])
def test_invalid_query_of_invariants_returns_400_without_requesting_services(get, services, query):
    response = get(f"/invariants?{query}")
    assert response.status_code == 400
    assert response.json()["errors"]
    assert not any(service.requests for service in services.values())


def test_head_starts_no_full_run(get, services):
    assert get("/invariants?full=1", "HEAD").status_code == 200
    assert {service.requests[0][0] for service in services.values()} == {"/invariants"}


@pytest.mark.slow
def test_invariants_may_take_longer_than_health(get, services):
    finished = threading.Event()

    def respond_slowly(request):
        finished.wait(2.2)
        request.send_json(200, {"status": "OK"})

    services["event"].respond = respond_slowly
    assert get("/invariants").json()["status"] == "OK"
    services["event"].respond = lambda request: finished.wait(60)
    report = get("/invariants").json()
    finished.set()
    assert report["status"] == "BROKEN"
    assert report["services"]["event-service"]["error"] == "no response within 4 s"
