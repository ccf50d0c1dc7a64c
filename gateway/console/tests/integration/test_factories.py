"""The console's pages of factories and sprockets; small HTTP servers respond for the services."""

from urllib.parse import parse_qs, urlsplit

import pytest

WRITER = {"X_Authenticated_User": "ann", "X_Authenticated_Role": "writer"}
READER = {"X_Authenticated_User": "rita", "X_Authenticated_Role": "reader"}
TIMES = [1_700_000_000, 1_700_000_060, 1_700_000_120]
SERIES = {"sprocket_production_actual": [1000, 8, 12], "sprocket_production_goal": [990, 10, 10], "time": TIMES}
SPROCKET = {"id": 7, "teeth": 5, "pitch_diameter": 6, "outside_diameter": 8, "pitch": 1}
LOAD = {"id": "l-1", "size_bytes": 5, "factories": 2, "sprockets": 0, "points": 9, "skipped": 0, "error": None}


def factory(series=SERIES):
    return {"id": 3, "name": "Hall <3>", "factory": {"chart_data": series}}


@pytest.fixture
def stored():
    """Responses of the factory-service by path; a test may change them."""
    bucket = {"time": TIMES[0], "actual": 1020, "goal": 1010, "ratio": 1.0099, "missed": 1, "longest_miss": 1}
    return {
        "/api/factories": (200, {"factories": [factory()], "count": 51}),
        "/api/factory/3": (200, factory()),
        "/api/factory/3/time": (200, {"time": TIMES}),
        "/api/factory/3/attainment": (200, {"buckets": [bucket]}),
        "/api/factory/3/production": (202, {"accepted": 1}),
        "/api/factories/load/l-1": (200, {**LOAD, "status": "PROGRESS"}),
        "/api/sprockets": (200, {"sprockets": [SPROCKET], "count": 1}),
    }


@pytest.fixture
def service(services, stored):
    def respond(request):
        status, body = stored.get(urlsplit(request.path).path, (404, {"detail": "not stored"}))
        request.send_json(status, body)

    services["factory"].respond = respond
    return services["factory"]


def queries(service, path):
    """Return the parameters of each request for a path."""
    urls = [urlsplit(target) for target, _ in service.requests]
    return [{name: values[0] for name, values in parse_qs(url.query).items()} for url in urls if url.path == path]


def test_list_shows_the_newest_points_of_all_factories_in_one_request(get, service):
    page = get("/console/factories?offset=50", **READER)
    assert page.status_code == 200
    assert [path for path, _ in service.requests] == ["/api/factories?limit=50&offset=50&newest=60"]
    assert "Hall &lt;3&gt;" in page.text and "101.0 %" in page.text
    assert page.text.count("<polyline") == 2
    assert 'rel="prev"' in page.text and 'rel="next"' not in page.text


def test_empty_list_says_what_to_do_first(get, service, stored):
    stored["/api/factories"] = (200, {"factories": [], "count": 0})
    assert "Create one, or load a file of factories." in get("/console/factories", **WRITER).text
    assert "<form" not in get("/console/factories", **READER).text


def test_page_has_the_tables_of_which_charts_are_drawn(get, service):
    page = get("/console/factories/3", **READER)
    assert '<time datetime="2023-11-14T22:13:20Z">2023-11-14 22:13:20</time>' in page.text
    assert '<td class="number">1,000</td><td class="number">990</td>' in page.text
    assert "Attainment per hour" in page.text
    assert 'href="/api/factory/3/chart-data.csv"' in page.text
    assert "<form method" not in page.text
    assert queries(service, "/api/factory/3") == [{"points": "400"}]


def test_url_selects_the_range(get, service):
    page = get("/console/factories/3?from=2023-11-14T22:13:20&to=2023-11-14T22:14", **READER).text
    time_range = {"from": "1700000000", "to": "1700000040"}
    assert queries(service, "/api/factory/3") == [{**time_range, "points": "400"}]
    assert queries(service, "/api/factory/3/attainment") == [{**time_range, "bucket": "1h"}]
    assert "chart-data.csv?from=1700000000&amp;to=1700000040" in page
    assert "/console/factories/3/data?from=2023-11-14T22:13:20&amp;to=2023-11-14T22:14" in page


def test_preset_ends_with_the_newest_point(get, service):
    get("/console/factories/3?range=day", **READER)
    assert queries(service, "/api/factory/3") == [{"from": str(TIMES[-1] - 86400), "points": "400"}]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("from=x", "From (UTC) must be a time such as"),
        ("to=2026-13-01T00:00", "To (UTC) must be a time such as"),
        ("from=2024-01-02T00:00&to=2024-01-01T00:00", "To (UTC) must not be before from"),
        ("range=year", "range: must be one of day, week, month"),
    ],
)
def test_invalid_range_is_explained_above_the_whole_chart(get, service, query, message):
    page = get(f"/console/factories/3?{query}", **READER)
    assert page.status_code == 400
    assert message in page.text and 'id="production"' in page.text


def test_refreshed_part_replaces_facts_and_tables(get, service):
    part = get("/console/factories/3/data?range=week", **READER).text
    assert "<html" not in part
    assert '<div id="facts" hx-swap-oob="true">' in part
    assert '<table id="production">' in part and '<table id="attainment">' in part


def test_factory_without_points_says_what_to_do_first(get, service, stored):
    stored["/api/factory/3"] = (200, factory({name: [] for name in SERIES}))
    stored["/api/factory/3/attainment"] = (200, {"buckets": []})
    stored["/api/factory/3/time"] = (200, {"time": []})
    page = get("/console/factories/3", **WRITER).text
    assert "This factory has no production yet. Record a point, or load a CSV file." in page
    assert "There are no points in this range." in get("/console/factories/3?range=day", **WRITER).text


def test_recorded_production_is_sent_with_its_key(get, service):
    form = {"action": "record", "key": "k-1", "time": "2023-11-14T22:13:20", "actual": "5", "goal": "6"}
    response = get("/console/factories/3", "POST", form, **WRITER)
    assert (response.status_code, response.headers["Location"]) == (303, "/console/factories/3?done=recorded")
    ((_, headers),) = service.requests
    assert headers["Idempotency-Key"] == "k-1"


def test_invalid_production_is_explained_at_its_field(get, service):
    form = {"action": "record", "key": "k-1", "time": "2023-11-14T22:13:20", "actual": "many", "goal": "6"}
    page = get("/console/factories/3", "POST", form, **WRITER)
    assert page.status_code == 400
    assert "Actual must be an integer." in page.text and 'value="many"' in page.text


def test_load_is_refreshed_until_it_ends(get, service, stored):
    assert "hx-get" in get("/console/factories/load?load=l-1", **WRITER).text
    stored["/api/factories/load/l-1"] = (200, {**LOAD, "status": "FAILURE", "error": "factories.0: must be <object>"})
    part = get("/console/factories/load?load=l-1", **WRITER).text
    assert "hx-get" not in part and "must be &lt;object&gt;" in part
    unknown = get("/console/factories?load=l-2", **WRITER)
    assert unknown.status_code == 200 and "not stored" in unknown.text and "Hall" in unknown.text


def test_sprocket_is_changed_in_its_row(get, service, stored):
    stored["/api/sprocket/7"] = (200, {"sprocket": SPROCKET})
    form = {"action": "change", "key": "k-1", "id": "7", "teeth": "6", "pitch_diameter": "6", "outside_diameter": "8"}
    changed = get("/console/sprockets?offset=50", "POST", {**form, "pitch": "1"}, **WRITER)
    assert (changed.status_code, changed.headers["Location"]) == (303, "/console/sprockets?offset=50&done=changed")
    failed = get("/console/sprockets", "POST", {**form, "pitch": "1.5"}, **WRITER)
    assert failed.status_code == 400
    assert '<p class="error" id="error-7-pitch">must be an integer.</p>' in failed.text


def test_reader_sees_sprockets_without_forms(get, service):
    page = get("/console/sprockets", **READER).text
    assert '<td class="number">8</td>' in page and "<form" not in page


@pytest.mark.parametrize("path", ["/console/factories", "/console/factories/3", "/console/sprockets"])
def test_page_names_a_service_that_is_down(get, service, path):
    service.respond = lambda request: request.send_json(503, {})
    page = get(path, **READER)
    assert page.status_code == 503
    assert "factory-service responded with 503" in page.text
