"""The trace of a request, as JSON and as a page; small HTTP servers respond for the services."""

import time

import pytest

ADMIN = {"X_Authenticated_User": "root", "X_Authenticated_Role": "admin"}
WRITER = {"X_Authenticated_User": "ann", "X_Authenticated_Role": "writer"}


def entry(at, kind, what, id_, caused_by="request"):
    return {"at": f"2026-01-02T03:04:{at}Z", "kind": kind, "what": what, "id": id_, "caused_by": caused_by}


@pytest.fixture
def traced(services):
    """Let the services return entries whose times alternate."""
    entries = {
        "sequence": [entry("02.500000", "number", "1 to 3 of invoices", "invoices")],
        "event": [
            entry("01.000000", "event", "Started in orders <b>", "e1"),
            entry("03.000000", "event", "Done in orders", "e2"),
        ],
        "specstore": [entry("04.000000", "flow", "the spec was uploaded", "ann/wines/2")],
        "orders": [entry("02.000000", "import", "wines.csv was uploaded", "i1")],
    }

    def respond(name):
        return lambda request: request.send_json(200, {"entries": entries.get(name, []), "has_more": name == "event"})

    for name, service in services.items():
        service.respond = respond(name)
    return services


def test_entries_of_all_services_are_merged_in_order_of_time(get, traced):
    response = get("/trace/r-1", **ADMIN)
    assert response.status_code == 200
    body = response.json()
    assert [(item["service"], item["id"]) for item in body["entries"]] == [
        ("event-service", "e1"),
        ("orders-service", "i1"),
        ("sequence-service", "invoices"),
        ("event-service", "e2"),
        ("specstore-service", "ann/wines/2"),
    ]
    assert set(body["entries"][0]) == {"at", "service", "kind", "what", "id", "caused_by"}
    assert (body["request_id"], body["incomplete"], body["unavailable"]) == ("r-1", ["event-service"], [])
    for service in traced.values():
        ((path, headers),) = service.requests
        assert (path, headers["X-Authenticated-Role"]) == ("/trace/r-1", "admin")


def test_service_that_fails_or_is_too_slow_is_named(get, traced):
    traced["orders"].respond = lambda request: request.send_json(503, {"detail": "Postgres is down"})
    respond = traced["event"].respond

    def respond_late(request):
        time.sleep(5)
        respond(request)

    traced["event"].respond = respond_late
    body = get("/trace/r-1", **ADMIN).json()
    assert body["unavailable"] == ["event-service", "orders-service"]
    assert [item["id"] for item in body["entries"]] == ["invoices", "ann/wines/2"]
    page = get("/console/trace/r-1", **ADMIN)
    assert page.status_code == 200
    assert "orders-service does not respond" in page.text and "1 to 3 of invoices" in page.text


def test_page_shows_a_timeline_with_links(get, traced):
    page = get("/console/trace/r-1", **ADMIN).text
    assert "Started in orders &lt;b&gt;" in page
    assert "+1.500 s" in page
    flow = "/console/datasets/ann/wines?revision=2"
    for url in (flow, "/console/sequences/invoices", "/api/v1/events/e1", "/console/orders/imports/i1"):
        assert f'href="{url}"' in page
    assert "The request caused more in event-service" in page
    assert "make logs R=r-1" in page


def test_page_shows_the_line_of_the_gateway(get, traced, access_log):
    request = '"user":"ann","method":"GET","uri":"/a?b=<c>","status":200,"seconds":0.25'
    line = '{"time":"2026-01-02T03:04:05+00:00","request_id":"%s",' + request + "}"
    access_log("2026/01/02 [alert] r-1", line % "r-10", line % "r-1")
    page = get("/console/trace/r-1", **ADMIN).text
    assert "GET /a?b=&lt;c&gt;" in page and "200 after 0.250 s" in page
    assert "Response of the gateway" not in get("/console/trace/r-2", **ADMIN).text


def test_request_without_effects_has_an_empty_trace(get, services):
    for service in services.values():
        service.respond = lambda request: request.send_json(200, {"entries": [], "has_more": False})
    assert get("/trace/r-1", **ADMIN).json()["entries"] == []
    assert "Nothing that this request caused is stored" in get("/console/trace/r-1", **ADMIN).text


@pytest.mark.parametrize("request_id", ["a%20b", "x" * 129, "%C3%A4"])
def test_invalid_request_id_is_rejected(get, traced, request_id):
    response = get(f"/trace/{request_id}", **ADMIN)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "request_id")
    assert get(f"/console/trace/{request_id}", **ADMIN).status_code == 400
    form = get(f"/console/trace?id={request_id}", **ADMIN)
    assert form.status_code == 400 and 'aria-invalid="true"' in form.text
    assert all(not service.requests for service in traced.values())


def test_longest_request_id_is_found_by_the_form(get, traced):
    request_id = "A-z_0.9" + "x" * 121
    assert get("/console/trace", **ADMIN).status_code == 200
    found = get(f"/console/trace?id={request_id}", **ADMIN)
    assert (found.status_code, found.headers["Location"]) == (303, f"/console/trace/{request_id}")


@pytest.mark.parametrize("path", ["/trace/r-1", "/console/trace", "/console/trace/r-1"])
def test_only_admins_may_see_traces(get, traced, path):
    assert get(path, **WRITER).status_code == 403
    assert all(not service.requests for service in traced.values())
