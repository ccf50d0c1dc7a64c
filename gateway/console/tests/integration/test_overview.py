"""The start page and the page of the invariants; small HTTP servers respond for the services."""

import re

import pytest

ADMIN = {"X_Authenticated_User": "admin", "X_Authenticated_Role": "admin"}
READER = {"X_Authenticated_User": "rita", "X_Authenticated_Role": "reader"}
RECENT = {
    "bounds_seconds": [0.01, 0.1],
    "minutes": [{"time": 1_700_000_040 + 60 * n, "errors": n, "counts": [60, 0, 0]} for n in range(15)],
}
BACKLOGS = {"minutes": [{"time": 1_700_000_040 + 60 * n, "backlog": 9000 if n else None} for n in range(16)]}
EVENT = {
    "event": {"id": "e-1", "name": "Orders<Imported>", "version": 1}, "stream": "orders", "position": 9, "sequence": 4,
    "producer": "orders", "user": "ann", "request_id": "r-1", "received_at": "2026-11-27T06:25:01.123456Z",
}  # fmt: skip
RABBITMQ = {
    "status": "OK", "latency_ms": 1.5, "workers_alive": 1, "workers_connected": 1, "outbox_backlog": 12,
    "outbox_oldest_seconds": 61.0, "queues": {"orders.import": 1234},
    "dead_letters": {"orders.import": 3, "orders.delete": 0},
}  # fmt: skip


@pytest.fixture
def stored():
    """Responses of all services by path; a test may change them."""
    checks = [{"name": "no gap", "status": "OK", "detail": ""}, {"name": "sums", "status": "BROKEN", "detail": "a > b"}]
    full = {"status": "PROGRESS", "started_at": "2026-11-27T06:25:01Z", "finished_at": None, "checks": []}
    return {
        "/healthcheck": (200, {"status": "OK", "dependencies": {"rabbitmq": RABBITMQ}}),
        "/metrics/recent": (200, RECENT),
        "/metrics/backlog": (200, BACKLOGS),
        "/api/v1/events/newest": (200, {"events": [EVENT], "total": 1, "next": None}),
        "/invariants": (200, {"status": "BROKEN", "checks": checks, "full": full}),
    }


@pytest.fixture
def respond(services, stored):
    for service in services.values():
        service.respond = lambda request: request.send_json(*stored[request.path.partition("?")[0]])
    return services


def test_overview_shows_state_and_dependencies_of_each_service(get, respond, stored):
    stored["/healthcheck"][1].update(
        status="DEGRADED", dependencies={"rabbitmq": {"status": "DOWN", "detail": "unreachable <now>"}}
    )
    response = get("/", **READER)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert response.headers["Cache-Control"] == "no-store"
    assert all(f"{name}-service" in response.text for name in respond)
    assert "unreachable &lt;now&gt;" in response.text
    assert "DEGRADED" in get("/console/overview/services", **READER).text


def test_overview_shows_traffic_messages_and_events(get, respond):
    page = get("/", **READER).text
    assert page.count("<dd>1/s</dd>") == len(respond)
    assert page.count("<dd>105</dd>") == len(respond)  # errors
    assert "<title>22:14 UTC: 60 requests, 0 errors</title>" in page
    assert "5 ms / 9.5 ms" in page
    assert '<dd title="The oldest has waited for 1 min">12 waiting</dd>' in page
    assert "<title>22:14 UTC: unknown</title>" in page and "<title>22:29 UTC: 9,000</title>" in page
    assert "<dd>orders.import: 1,234</dd>" in page
    assert '<dd class="error">orders.import: 3</dd>' in page and "orders.delete" not in page
    assert "Orders&lt;Imported&gt;" in page and 'href="/console/streams/orders"' in page
    assert "Check invariants" not in page


def test_overview_is_shown_if_a_part_cannot_be_read(get, respond, stored):
    # A service of the previous version.
    stored["/metrics/recent"] = stored["/metrics/backlog"] = (404, {"detail": "this path does not exist"})
    stored["/api/v1/events/newest"] = (503, "Service Unavailable - the database is unreachable")
    page = get("/", **READER)
    assert page.status_code == 200
    assert page.text.count("this path does not exist") == len(respond)
    assert page.text.count("the database is unreachable") == 1
    assert "12 waiting" in page.text
    assert "the database is unreachable" in get("/console/overview/events", **READER).text


def test_service_shows_its_figures_per_minute(get, respond):
    page = get("/console/services/orders-service", **READER)
    assert page.status_code == 200
    assert 'hx-get="/console/services/orders-service/minutes"' in page.text
    rows = re.findall(r"<tr>\s*<th scope=.row.><time.*?</tr>", page.text, re.DOTALL)
    cells = [re.findall(r"<t[hd] [^>]*>(?:<time[^>]*>)?([^<]*)", row) for row in rows]
    assert cells[0] == ["22:14", "60", "0", "5", "9.5", "–"]
    assert cells[14] == ["22:28", "60", "14", "5", "9.5", "9,000"]
    assert cells[15] == ["22:29", "–", "–", "–", "–", "9,000"]
    assert get("/console/services/orders-service/minutes", **READER).text.count("<tr>") == 1 + len(rows)
    csv = get("/console/services/orders-service/minutes.csv", **READER)
    assert csv.headers["Content-Type"] == "text/csv; charset=utf-8"
    lines = csv.text.splitlines()
    assert lines[0] == "time,requests,errors,median_ms,slow_ms,backlog"
    assert lines[1] == "1700000040,60,0,5.0,9.5," and lines[16] == "1700000940,,,,,9000"


def test_service_is_shown_if_its_figures_cannot_be_read(get, respond, stored):
    stored["/metrics/backlog"] = (503, {"detail": "the database is unreachable"})
    page = get("/console/services/orders-service", **READER)
    assert page.status_code == 200 and "22:28" in page.text and "22:29" not in page.text
    stored["/metrics/recent"] = (503, {"detail": "the service is stopping"})
    page = get("/console/services/orders-service", **READER)
    assert page.status_code == 200 and "the service is stopping" in page.text and "rabbitmq" in page.text
    assert get("/console/services/orders-service/minutes.csv", **READER).status_code == 503
    assert get("/console/services/unknown", **READER).status_code == 404


def test_admin_sees_the_detail_of_each_invariant(get, respond):
    overview = get("/", **ADMIN).text
    assert "Check invariants" in overview
    assert 'href="/console/messages/orders.import"' in overview and 'href="/console/trace/r-1"' in overview
    page = get("/console/invariants", **ADMIN)
    assert page.status_code == 200
    assert page.text.count("a &gt; b") == len(respond)
    assert "A full run is in progress" in page.text
    assert 'hx-get="/console/invariants/reports"' in page.text


def test_report_is_not_refreshed_without_a_full_run(get, respond, stored):
    stored["/invariants"][1]["full"] = None
    part = get("/console/invariants/reports", **ADMIN).text
    assert "There has been no full run yet." in part and "hx-get" not in part


def test_admin_starts_full_runs(get, respond):
    response = get("/console/invariants", "POST", **ADMIN)
    assert (response.status_code, response.headers["Location"]) == (303, "/console/invariants?done=started")
    assert all([path for path, _ in service.requests] == ["/invariants?full=1"] for service in respond.values())


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/reports"), ("POST", "")])
def test_only_an_admin_may_check_invariants(get, respond, method, path):
    response = get(f"/console/invariants{path}", method, **READER)
    assert response.status_code == 403
    assert "this requires the role admin" in response.text
    assert not any(service.requests for service in respond.values())
