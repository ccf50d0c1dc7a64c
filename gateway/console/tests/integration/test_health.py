"""Health, readiness and invariants of all services, through the console's real web process."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from quintet_testing.waiting import eventually


def responds(service, status, body):
    service.respond = lambda request: request.send_json(status, body)


@pytest.mark.parametrize("path", ["/health", "/healthcheck", "/info"])
def test_health_is_ok_if_all_services_are(get, services, path):
    response = get(path)
    assert response.status_code == 200
    assert response.json() == {
        "status": "OK",
        "services": {f"{name}-service": {"status": "OK", "service": f"{name}-service"} for name in services},
    }
    assert list(response.json()["services"]) == ["sequence-service", "event-service", "orders-service"]
    assert response.headers["Cache-Control"] == "no-store"
    assert all(service.requests[0][0] == "/healthcheck" for service in services.values())


@pytest.mark.parametrize(
    ("reports", "status"),
    [
        ({"event": (200, "DEGRADED")}, "DEGRADED"),
        ({"event": (200, "DEGRADED"), "orders": (200, "DEGRADED")}, "DEGRADED"),
        ({"event": (503, "DOWN")}, "DOWN"),
        ({"event": (503, "DOWN"), "orders": (200, "DEGRADED")}, "DOWN"),
        ({"event": (200, "odd")}, "DOWN"),
    ],
)
def test_health_is_503_with_the_worst_status_otherwise(get, services, reports, status):
    for name, (code, reported) in reports.items():
        responds(services[name], code, {"status": reported, "dependencies": {}})
    response = get("/health")
    assert (response.status_code, response.json()["status"]) == (503, status)
    assert response.headers["Retry-After"] == "1"
    assert response.json()["services"]["event-service"] == {"status": reports["event"][1], "dependencies": {}}


def test_services_are_requested_in_the_name_of_the_user(get, services):
    identity = {"X-Request-ID": "mine", "X-Authenticated-User": "ann", "X-Authenticated-Role": "writer"}
    get("/health", **{name.replace("-", "_"): value for name, value in identity.items()})
    assert all(identity.items() <= service.requests[0][1].items() for service in services.values())


@pytest.mark.parametrize("body", [["OK"], "OK", {"status": 1}, None, {}])
def test_response_without_a_status_counts_as_down(get, services, body):
    responds(services["event"], 200, body)
    response = get("/health")
    assert (response.status_code, response.json()["status"]) == (503, "DOWN")
    assert response.json()["services"]["event-service"]["error"] == "responded with 200 and no report"


def test_response_that_is_not_json_counts_as_down(get, services):
    def garbage(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"<html>")

    services["event"].respond = garbage
    assert get("/health").json()["services"]["event-service"] == {
        "status": "DOWN",
        "service": "event-service",
        "error": "the response is not a report",
    }


def test_service_that_breaks_off_is_unreachable(get, services):
    services["event"].respond = lambda request: request.connection.close()
    assert get("/health").json()["services"]["event-service"]["error"] == "unreachable"


def test_service_without_a_process_is_unreachable(get, services):
    path = services["event"].server_address
    os.rename(path, f"{path}.away")
    try:
        response = get("/health")
        assert response.json()["services"]["event-service"]["error"] == "unreachable"
        assert response.json()["services"]["sequence-service"]["status"] == "OK"
        eventually(lambda: get("/readyz").status_code == 503)
    finally:
        os.rename(f"{path}.away", path)
    assert get("/health").status_code == 200


def test_silent_services_are_down_after_two_seconds_in_parallel(get, services):
    over = threading.Event()
    for service in services.values():
        service.respond = lambda request: over.wait(20)
    began = time.monotonic()
    response = get("/health")
    took = time.monotonic() - began
    over.set()
    assert response.status_code == 503
    assert {report["error"] for report in response.json()["services"].values()} == {"no response within 2 s"}
    assert took < 5  # one after the other, they would take 6


@pytest.mark.parametrize(
    ("code", "report", "expected"),
    [(200, {"status": "OK"}, 200), (200, {"status": "DEGRADED"}, 200), (503, {"status": "DOWN"}, 503)],
)
def test_health_of_one_service_is_its_own_report(get, services, code, report, expected):
    responds(services["event"], code, report)
    response = get("/health/event-service")
    assert (response.status_code, response.json()) == (expected, report)
    assert not services["sequence"].requests


@pytest.mark.parametrize("path", ["/health/nothing-service", "/health/event", "/health/", "/nothing", "/metrics"])
def test_unknown_path_returns_404(get, services, path):
    response = get(path)
    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/health", "/health/event-service", "/readyz", "/invariants"])
def test_other_methods_return_405_and_request_nothing(get, services, path):
    response = get(path, "POST")
    assert (response.status_code, response.json()["status"]) == (405, 405)
    assert "GET" in response.headers["Allow"]
    assert not any(service.requests for service in services.values())


@pytest.mark.parametrize(
    ("code", "status", "ready"), [(200, "OK", True), (200, "DEGRADED", True), (503, "DOWN", False), (200, "?", False)]
)
def test_readiness_gives_no_details(get, services, code, status, ready):
    responds(services["event"], code, {"status": status, "dependencies": {"postgres": "secret"}})
    expected = 200 if ready else 503
    eventually(lambda: get("/readyz").status_code == expected)  # a result is kept for a second
    response = get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "OK"}) if ready else (503, {"status": "DOWN"})


def test_readiness_is_checked_once_a_second_for_all_who_ask(get, services):
    with ThreadPoolExecutor(30) as pool:
        began = time.monotonic()
        statuses = {response.status_code for response in pool.map(lambda _: get("/readyz"), range(150))}
        seconds = time.monotonic() - began
    assert statuses <= {200, 503}
    # Two processes, each at most once a second.
    assert len(services["event"].requests) <= 2 * (seconds + 1)


def test_invariants_of_all_services(get, services):
    response = get("/invariants")
    assert (response.status_code, response.json()["status"]) == (200, "OK")
    assert all(service.requests[0][0] == "/invariants" for service in services.values())
    responds(services["event"], 200, {"status": "BROKEN", "checks": ["x" * 100] * 3000})
    response = get("/invariants")
    assert (response.status_code, response.json()["status"]) == (503, "BROKEN")
    assert len(response.json()["services"]["event-service"]["checks"]) == 3000


def test_invariants_may_take_longer_than_health(get, services):
    over = threading.Event()

    def slow(request):
        over.wait(2.5)
        request.send_json(200, {"status": "OK"})

    services["event"].respond = slow
    assert get("/invariants").json()["status"] == "OK"
    services["event"].respond = lambda request: over.wait(20)
    report = get("/invariants").json()
    over.set()
    assert report["status"] == "BROKEN"
    assert report["services"]["event-service"]["error"] == "no response within 4 s"
