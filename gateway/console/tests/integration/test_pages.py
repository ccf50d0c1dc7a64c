"""Pages of the console through its real web process; small HTTP servers respond for the services."""

import re

import pytest

SEQUENCE = {
    "name": "invoices", "minimum": 1, "maximum": 99999, "cycle": False, "format": "INV-{:05d}", "reset": None,
    "timezone": "UTC", "audit": False, "period": None, "last": 26, "next": 27, "remaining": 99973, "cycles": 0,
}  # fmt: skip
WRITER = {"X_Authenticated_User": "ann", "X_Authenticated_Role": "writer"}
READER = {"X_Authenticated_User": "rita", "X_Authenticated_Role": "reader"}


@pytest.fixture
def sequences(services):
    """Let the sequence-service return one sequence."""

    def respond(request):
        path = request.path.partition("?")[0]
        body = {"sequences": [SEQUENCE], "total": 1} if path == "/sequences" else SEQUENCE
        request.send_json(200, body)

    services["sequence"].respond = respond
    return services["sequence"]


def test_service_that_does_not_respond_is_named_on_its_page(get, services):
    services["sequence"].respond = lambda request: request.send_json(500, {})
    response = get("/console/sequences", **WRITER)
    assert response.status_code == 500
    assert "sequence-service responded with 500 Internal Server Error" in response.text


@pytest.mark.parametrize("path", ["/console/sequences", "/console/sequences/invoices"])
def test_reader_is_offered_no_action(get, sequences, path):
    assert "<form" in get(path, **WRITER).text
    page = get(path, **READER)
    assert page.status_code == 200 and "invoices" in page.text
    assert "<form" not in page.text


def test_pages_pass_the_user_and_the_request_id_on(get, sequences):
    get("/console/sequences?offset=50", **WRITER, X_Request_ID="r-1")
    path, headers = sequences.requests[-1]
    assert path == "/sequences?limit=50&offset=50"
    assert (headers["X-Authenticated-User"], headers["X-Authenticated-Role"]) == ("ann", "writer")
    assert headers["X-Request-ID"] == "r-1"


def test_name_cannot_reach_another_path(get, sequences):
    assert get("/console/sequences/a%3Fb%3Dc", **WRITER).status_code == 200
    assert [path for path, _ in sequences.requests] == ["/sequences/a%3Fb%3Dc"]
    assert get("/console/sequences/..", **WRITER).status_code == 404
    assert len(sequences.requests) == 1


@pytest.mark.parametrize("path", ["/console/nothing", "/console/sequences/invoices/unknown"])
def test_unknown_page_is_an_error_page(get, services, path):
    response = get(path, **WRITER)
    assert response.status_code == 404
    assert "<h1>Not found</h1>" in response.text


def test_page_loads_nothing_from_other_hosts_and_has_no_inline_code(get, sequences):
    for path in ("/", "/console/sequences", "/console/sequences/invoices"):
        text = get(path, **WRITER).text
        assert "://" not in text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text)
