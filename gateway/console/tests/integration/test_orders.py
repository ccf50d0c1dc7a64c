"""Pages of the orders through the console's real web process; small HTTP servers respond for the services."""

import re

import pytest

WRITER = {"X_Authenticated_User": "ann", "X_Authenticated_Role": "writer"}
READER = {"X_Authenticated_User": "rita", "X_Authenticated_Role": "reader"}
API = "/acme_orders/api/v1/orders"
TASK_ID = "9fd678a1-6b3d-4fa6-8ede-d0afc5db27ab"
PAGE, IMPORT_PAGE = "/console/orders", f"/console/orders/imports/{TASK_ID}"

STATUS = {
    "task_id": TASK_ID, "batch_no": 30000, "file_name": "<b>.csv", "dry_run": False, "on_duplicate": "skip",
    "status": "SUCCESS", "current": 3000, "total": 3000, "percent": 100.0, "valid": 1477, "invalid": 1478, "updated": 0,
    "duplicates": 30, "rejected": 15, "ignored_columns": [], "rows_per_second": 61840.2,
    "started_at": "2026-01-01T10:00:00Z", "finished_at": "2026-01-01T10:00:01Z", "message": "import finished",
    "undo": None,
}  # fmt: skip
RUNNING = {"status": "PROGRESS", "finished_at": None, "current": 10, "percent": 0.3, "message": ""}
UNDO = {"status": "PROGRESS", "deleted": 5, "not_restored": 0, "requested_at": "x", "finished_at": None}
ORDER = {
    "id": -7, "name": "Ann <x>", "email": "a", "state": "NJ", "zipcode": "1", "birthday": "February 27, 1963",
    "valid": False, "errors": [{"rule": "allowed_state", "message": "We don't ship to NJ"}],
}  # fmt: skip
ROW = {"line": 3, "row": "2|<Davis>", "errors": [{"rule": "email_pattern", "message": "incorrect email pattern"}]}


@pytest.fixture
def orders(services):
    """Let the service respond with these results, which tests change, by method and path; anything else is unknown."""
    service = services["orders"]
    service.results = {
        f"GET {API}/import/status": [STATUS],
        f"GET {API}/import/status/{TASK_ID}": STATUS,
        f"GET {API}/import/{TASK_ID}/errors": [ROW],
        f"GET {API}": [{"id": number, "name": "Ann", "valid": True} for number in range(1, 52)],
        f"GET {API}/-7": ORDER,
        f"DELETE {API}/import/{TASK_ID}": {},
        f"DELETE {API}/import/status/{TASK_ID}": {},
    }

    def respond(request):
        result = service.results.get(f"{request.command} {request.path.partition('?')[0]}")
        status, message = (404, "endpoint not found") if result is None else (200, "")
        body = {"result": result, "total": 1_000_000, "status_code": status, "uuid": "r-1", "message": message}
        request.send_json(status, body)

    service.respond = respond
    return service


def paths(service):
    return [path for path, _ in service.requests]


def test_page_shows_imports_and_a_page_of_orders(get, orders):
    page = get(PAGE, **WRITER)
    assert page.status_code == 200
    assert all(text in page.text for text in (f'href="{IMPORT_PAGE}"', "&lt;b&gt;.csv", "1,477", "1,000,000"))
    assert 'href="/console/orders/50"' in page.text and 'href="/console/orders/51"' not in page.text
    assert f'href="{PAGE}?after=50#orders-title" rel="next"' in page.text
    assert {f"{API}?limit=51", f"{API}/import/status?limit=10&offset=0"} == {*paths(orders)}


def test_filters_and_cursor_are_passed_on_and_kept_in_the_links(get, orders):
    text = get(f"{PAGE}?valid=false&state=tx&name=+%26a+&after=-7", **WRITER).text
    assert f"{API}?valid=false&state=tx&name=%26a&limit=51&after=-7" in paths(orders)
    assert f'href="{PAGE}?after=50&amp;valid=false&amp;state=tx&amp;name=%26a#orders-title"' in text
    assert f'href="{API}.csv?valid=false&amp;state=tx&amp;name=%26a"' in text
    assert '<option value="false" selected>' in text and 'value="&amp;a"' in text


def test_invalid_filter_is_explained_at_its_field(get, orders):
    orders.respond = lambda request: request.send_json(
        400, {"result": None, "status_code": 400, "uuid": "r", "message": {"state": "state must be a string"}}
    )
    page = get(f"{PAGE}?state=x1", **WRITER)
    assert re.search(r'id="state"[^>]*aria-invalid="true"', page.text)
    assert "State must be a string." in page.text


def test_empty_lists_tell_what_to_do(get, orders):
    orders.results[f"GET {API}"] = orders.results[f"GET {API}/import/status"] = []
    text = get(PAGE, **WRITER).text
    assert "No file has been imported yet" in text and "There are no orders yet. Import a file above." in text
    assert "Import a file" not in get(PAGE, **READER).text
    assert "No order matches" in get(f"{PAGE}?name=x", **WRITER).text


@pytest.mark.parametrize("changes", [RUNNING, {"undo": UNDO}])
def test_changing_import_is_refreshed_until_it_has_ended(get, orders, changes):
    orders.results[f"GET {API}/import/status/{TASK_ID}"] = STATUS | changes
    orders.results[f"GET {API}/import/status"] = [STATUS | changes]
    for path, start in ((PAGE, '<section id="imports"'), (IMPORT_PAGE, '<div id="status"')):
        part = re.search(r'hx-get="([^"]+)"', get(path, **READER).text)[1]
        assert get(part, **READER).text.lstrip().startswith(start)
    orders.results[f"GET {API}/import/status/{TASK_ID}"] = STATUS
    orders.results[f"GET {API}/import/status"] = [STATUS]
    assert get(f"{IMPORT_PAGE}/status", **READER).headers["HX-Redirect"] == IMPORT_PAGE
    assert "hx-get" not in get(PAGE, **READER).text + get(IMPORT_PAGE, **READER).text


def test_import_shows_counts_and_first_errors_with_the_report(get, orders):
    text = get(IMPORT_PAGE, **READER).text
    assert all(value in text for value in ("61,840", "1,478", "incorrect email pattern", "2|&lt;Davis&gt;"))
    assert f'href="{API}/import/{TASK_ID}/errors.csv?lang=en"' in text
    assert f"{API}/import/{TASK_ID}/errors?limit=20" in paths(orders)


@pytest.mark.parametrize(
    ("changes", "actions"),
    [
        ({}, ["undo"]),
        (RUNNING, ["cancel"]),
        ({"dry_run": True}, []),
        ({"undo": UNDO}, []),
        ({"updated": 1477 + 1478}, []),
    ],
)
def test_only_possible_actions_are_offered_and_none_to_a_reader(get, orders, changes, actions):
    orders.results[f"GET {API}/import/status/{TASK_ID}"] = STATUS | changes
    assert re.findall(r'name="action" value="(\w+)"', get(IMPORT_PAGE, **WRITER).text) == actions
    for path in (PAGE, IMPORT_PAGE, f"{PAGE}/-7"):
        assert 'method="post"' not in get(path, **READER).text


@pytest.mark.parametrize(
    ("page", "action", "request_path", "location"),
    [
        (IMPORT_PAGE, "undo", f"{API}/import/{TASK_ID}", f"{IMPORT_PAGE}?done=undoing"),
        (IMPORT_PAGE, "cancel", f"{API}/import/status/{TASK_ID}", f"{IMPORT_PAGE}?done=cancelling"),
        (f"{PAGE}/-7", "delete", f"{API}/-7", f"{PAGE}?done=deleted"),
    ],
)
def test_action_is_sent_to_the_service(get, orders, page, action, request_path, location):
    orders.results[f"DELETE {API}/-7"] = {}
    response = get(page, "POST", form={"action": action, "key": "k-1"}, **WRITER)
    assert (response.status_code, response.headers["Location"]) == (303, location)
    assert paths(orders) == [request_path]


def test_error_of_an_action_is_shown_on_its_page(get, orders):
    del orders.results[f"DELETE {API}/import/{TASK_ID}"]
    response = get(IMPORT_PAGE, "POST", form={"action": "undo", "key": "k"}, **WRITER)
    assert response.status_code == 404
    assert "endpoint not found" in response.text and "import finished" in response.text


def test_order_shows_its_values_and_violated_rules(get, orders):
    text = get(f"{PAGE}/-7", **READER).text
    assert all(value in text for value in ("Order -7", "Ann &lt;x&gt;", "February 27, 1963", "We don&#39;t ship to NJ"))


@pytest.mark.parametrize(
    "path", [f"{PAGE}/unknown", f"{PAGE}/imports/unknown", f"{PAGE}/..", f"{PAGE}/imports/x/status"]
)
def test_unknown_order_or_import_is_an_error_page(get, orders, path):
    assert get(path, **WRITER).status_code == 404


def test_unavailable_service_is_named_in_each_part_of_the_page(get, services):
    body = {"result": None, "status_code": 503, "uuid": "r", "message": "the database is unreachable"}
    services["orders"].respond = lambda request: request.send_json(503, body)
    page = get(PAGE, **WRITER)
    assert page.status_code == 200 and page.text.count("the database is unreachable") == 2
    assert get(IMPORT_PAGE, **WRITER).status_code == 503
