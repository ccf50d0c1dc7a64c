"""Pages of the datasets through the console's real web process; small HTTP servers respond for the services."""

import re
from urllib.parse import urlsplit

import pytest

WRITER = {"X_Authenticated_User": "ann", "X_Authenticated_Role": "writer"}
READER = {"X_Authenticated_User": "rita", "X_Authenticated_Role": "reader"}
FLOW = "ann/wines/2"
PAGE = "/console/datasets/ann/wines"


def pipeline(status="SUCCEEDED", needs=(), kind="derived/csv", stats=None, **fields):
    times = {"started": "2026-01-01T10:00:00Z", "finished": "2026-01-01T10:00:02.500Z"}
    defaults = {"title": "Creating CSV", "kind": kind, "needs": list(needs), "status": status, "stats": stats or {},
                "log": [], "error_log": []}  # fmt: skip
    return {**defaults, **times, **fields}


def flow(state="SUCCEEDED", findability="published", **pipelines):
    return {
        "id": FLOW, "event_ref": None, "state": state, "modified": "2026-01-01T10:00:03Z", "logs": [], "error_log": [],
        "spec_contents": {"meta": {"findability": findability}, "schedule": "every 1d"}, "stats": {"count_of_rows": 2},
        "pipelines": {f"{FLOW}/{name}": entry for name, entry in pipelines.items()},
    }  # fmt: skip


PREVIEW_STATS = {"path": "reds_preview.csv", "bytes": 30, "count_of_rows": 2}
REVISIONS = {
    "revisions": [
        {"id": FLOW, "revision": 2, "state": "SUCCEEDED", "created": "2026-01-01T10:00:00Z",
         "modified": "2026-01-01T10:00:03Z"}
    ],
    "total": 1,
}  # fmt: skip
DATASET = {
    "id": "ann/wines", "dataset": "wines", "findability": "published", "revision": 2, "state": "FAILED",
    "every_seconds": 86400, "due_at": None, "modified": "2026-01-01T10:00:00Z",
}  # fmt: skip


@pytest.fixture
def specstore(services):
    """Let the service respond with these bodies, which tests change, by method and path; anything else is unknown."""
    service = services["specstore"]
    service.responses = {
        "POST /auth/token": (200, {"token": "t-1", "expires_in": 3600}),
        "GET /source": (200, {"datasets": [DATASET], "total": 1}),
        "GET /source/ann/wines": (200, REVISIONS),
        "GET /source/ann/wines/latest": (200, flow(reds_csv=pipeline())),
    }

    def respond(request):
        path = request.path.partition("?")[0]
        status, body = service.responses.get(f"{request.command} {path}", (404, {"detail": "the resource is unknown"}))
        if isinstance(body, str):
            request.send_text(status, body)
        else:
            request.send_json(status, body)

    service.respond = respond
    return service


def sent(service, path):
    """Return the headers of the requests for this path."""
    return [headers for requested, headers in service.requests if requested.partition("?")[0] == path]


def test_list_shows_state_revision_and_schedule_of_each_dataset(get, specstore):
    page = get("/console/datasets?after=ann/beers", **WRITER)
    assert page.status_code == 200
    assert all(text in page.text for text in (f'href="{PAGE}"', "FAILED", "every 1 d"))
    assert ("/source?limit=50&after=ann%2Fbeers") in [path for path, _ in specstore.requests]
    assert [headers["Auth-Token"] for headers in sent(specstore, "/source")] == ["t-1"]


def test_empty_list_offers_an_example_with_the_users_name(get, specstore):
    specstore.responses["GET /source"] = (200, {"datasets": [], "total": 0})
    text = get("/console/datasets", **WRITER).text
    assert "There are no datasets yet" in text and "&#34;ownerid&#34;: &#34;ann&#34;" in text
    assert "<form" not in get("/console/datasets", **READER).text


def test_no_token_is_requested_for_a_reader(get, specstore):
    assert get("/console/datasets", **READER).status_code == 200
    assert get(PAGE, **READER).status_code == 200
    assert sent(specstore, "/auth/token") == []
    assert not any("Auth-Token" in headers for _, headers in specstore.requests)


def test_page_works_if_another_server_issues_the_tokens(get, specstore):
    del specstore.responses["POST /auth/token"]
    assert get("/console/datasets", **WRITER).status_code == 200


@pytest.mark.parametrize("text", ["", "{", '{"a": 1, "a": 2}', "\u0000"])
def test_text_that_is_not_json_is_explained_and_kept(get, specstore, text):
    page = get("/console/datasets", "POST", form={"key": "k", "spec": text + "<kept>"}, **WRITER)
    assert page.status_code == 400
    assert re.search(r"<code>spec</code> .*must", page.text) and "&lt;kept&gt;" in page.text
    assert sent(specstore, "/source/upload") == []


def test_each_invalid_field_of_a_spec_is_named(get, specstore):
    errors = [
        "Validation failed for contents: meta.dataset: must be a name",
        "Validation failed for contents: inputs: x",
    ]
    body = {"success": False, "dataset_id": None, "flow_id": None, "errors": errors}
    specstore.responses["POST /source/upload"] = (400, body)
    page = get("/console/datasets", "POST", form={"key": "k", "spec": "{}"}, **WRITER)
    assert page.status_code == 400
    assert "<code>meta.dataset</code> must be a name" in page.text and "<code>inputs</code> x" in page.text


def test_upload_leads_to_the_flow_and_uses_the_key_of_the_form(get, specstore):
    body = {"success": True, "dataset_id": "ann/wines", "flow_id": FLOW, "errors": []}
    specstore.responses["POST /source/upload"] = (200, body)
    page = get("/console/datasets", "POST", form={"key": "k-1", "spec": "{}"}, **WRITER)
    assert (page.status_code, page.headers["Location"]) == (303, f"{PAGE}?revision=2&done=uploaded")
    (headers,) = sent(specstore, "/source/upload")
    assert (headers["Idempotency-Key"], headers["Auth-Token"]) == ("k-1", "t-1")


def test_graph_has_a_link_with_state_and_duration_for_each_pipeline(get, specstore):
    pipelines = {"reds_csv": pipeline(), "zip": pipeline("FAILED", [f"{FLOW}/reds_csv"], error_log=["disk <full>"])}
    specstore.responses["GET /source/ann/wines/latest"] = (200, flow("FAILED", **pipelines))
    text = get(f"{PAGE}?pipeline={FLOW}/zip", **WRITER).text
    assert text.count('class="edge"') == 1
    nodes = re.findall(r'<a id="node-\d+".*?</a>', text, re.DOTALL)
    assert [re.search(r'href="([^"]+)"', node)[1] for node in nodes] == [
        f"{PAGE}?revision=2&amp;pipeline=ann/wines/2/{name}#pipeline" for name in ("reds_csv", "zip")
    ]
    assert "✓ SUCCEEDED 2.5 s" in nodes[0] and "✕ FAILED" in nodes[1] and "aria-current" in nodes[1]
    assert "disk &lt;full&gt;" in text
    assert "hx-get" not in text


def test_running_flow_is_refreshed_and_can_be_cancelled_by_its_owner(get, specstore):
    body = flow("INPROGRESS", reds_csv=pipeline("INPROGRESS", finished=None))
    specstore.responses["GET /source/ann/wines/latest"] = specstore.responses["GET /source/ann/wines/2"] = (200, body)
    page = get(PAGE, **WRITER).text
    part = re.search(r'hx-get="([^"]+)"', page)[1]
    assert urlsplit(part).path == f"{PAGE}/flow"
    running = get(part, **WRITER)
    assert running.text.lstrip().startswith('<div id="flow"') and "HX-Redirect" not in running.headers
    specstore.responses["GET /source/ann/wines/2"] = (200, flow(reds_csv=pipeline()))
    assert get(part, **WRITER).headers["HX-Redirect"] == f"{PAGE}?revision=2"
    assert "Cancel flow" in page and "Run again" in page
    other = {"X_Authenticated_User": "ben", "X_Authenticated_Role": "writer"}
    for user in (READER, other):
        assert "<form" not in get(PAGE, **user).text


def test_large_flow_is_shown_as_a_table_only(get, specstore):
    pipelines = {f"r{number}": pipeline() for number in range(201)}
    specstore.responses["GET /source/ann/wines/latest"] = (200, flow(**pipelines))
    text = get(PAGE, **WRITER).text
    assert "<svg" not in text and "too large for a graph" in text and ">r200</a>" in text


def test_statistics_of_an_external_runner_may_be_anything(get, specstore):
    stats = {"path": ["x"], "bytes": "many", "count_of_rows": {}}
    specstore.responses["GET /source/ann/wines/latest"] = (200, {**flow(a=pipeline(stats=stats)), "stats": stats})
    assert get(PAGE, **WRITER).status_code == 200


def test_preview_shows_the_first_rows_of_the_chosen_table(get, specstore):
    preview = pipeline(kind="derived/preview", stats=PREVIEW_STATS)
    whites = pipeline(kind="derived/preview", stats={**PREVIEW_STATS, "path": "whites_preview.csv"})
    body = flow(reds_csv_preview=preview, whites_csv_preview=whites)
    specstore.responses["GET /source/ann/wines/latest"] = (200, body)
    specstore.responses["GET /source/ann/wines/2/data/reds_preview.csv"] = (206, 'name,year\n"a,b\n<c>",1\nd,"2')
    specstore.responses["GET /source/ann/wines/2/data/whites_preview.csv"] = (
        200,
        "name,year\nRiesling,1\nmore,2\n" + "x" * 4,
    )
    text = get(PAGE, **WRITER).text
    assert "<td>a,b\n&lt;c&gt;</td><td>1</td>" in text
    assert "<td>d</td>" not in text  # the response is shorter than the file, so its last row may be incomplete
    (headers,) = sent(specstore, "/source/ann/wines/2/data/reds_preview.csv")
    assert headers["Range"] == "bytes=0-65535"
    assert "Riesling" in get(f"{PAGE}?table=whites", **WRITER).text


def test_preview_that_cannot_be_read_does_not_hide_the_rest(get, specstore):
    body = flow(reds_csv_preview=pipeline(kind="derived/preview", stats=PREVIEW_STATS))
    specstore.responses["GET /source/ann/wines/latest"] = (200, body)
    page = get(PAGE, **WRITER)
    assert page.status_code == 200
    assert "the resource is unknown" in page.text and "<svg" in page.text


@pytest.mark.parametrize(
    ("findability", "prefix"), [("published", "/source/ann"), ("private", "/console/datasets/ann")]
)
def test_files_are_linked_and_those_of_private_datasets_through_the_console(get, specstore, findability, prefix):
    body = flow(findability=findability, reds_csv=pipeline(stats={"path": "reds.csv", "bytes": 5}))
    specstore.responses["GET /source/ann/wines/latest"] = (200, body)
    text = get(PAGE, **WRITER).text
    assert f'<a href="{prefix}/wines/2/data/reds.csv" download>' in text
    assert "t-1" not in text


def test_private_file_is_passed_on_with_a_token_that_the_browser_never_sees(get, specstore):
    def respond(request):
        request.send_response(206)
        for name, value in file_headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(b"" if request.command == "HEAD" else b"name,year")

    file_headers = {"Content-Type": "text/csv", "Content-Length": "9", "Content-Range": "bytes 2-10/90"}
    file_headers |= {"Content-Disposition": 'attachment; filename="reds.csv"', "ETag": '"e"', "Accept-Ranges": "bytes"}
    others, path = specstore.respond, "/source/ann/wines/2/data/reds.csv"
    specstore.respond = lambda request: (respond if request.path == path else others)(request)
    for method, text in (("GET", "name,year"), ("HEAD", "")):
        response = get(f"{PAGE}/2/data/reds.csv", method, Range="bytes=2-10", If_Range='"e"', **WRITER)
        assert (response.status_code, response.text) == (206, text)
        assert file_headers.items() <= dict(response.headers).items()
        assert "t-1" not in str(response.headers)
    for headers in sent(specstore, path):
        assert (headers["Auth-Token"], headers["Range"], headers["If-Range"]) == ("t-1", "bytes=2-10", '"e"')


def test_unknown_private_file_is_a_page(get, specstore):
    for file in ("unknown.csv", "%2e%2e"):
        assert get(f"{PAGE}/2/data/{file}", **WRITER).status_code == 404


def test_preview_of_an_empty_file_does_not_hide_the_rest(get, specstore):
    body = flow(reds_csv_preview=pipeline(kind="derived/preview", stats=PREVIEW_STATS))
    specstore.responses["GET /source/ann/wines/latest"] = (200, body)
    specstore.responses["GET /source/ann/wines/2/data/reds_preview.csv"] = (200, "")
    assert get(PAGE, **WRITER).status_code == 200


def test_unknown_revision_keeps_the_list_of_revisions(get, specstore):
    page = get(f"{PAGE}?revision=9", **WRITER)
    assert page.status_code == 200
    assert "the resource is unknown" in page.text and f'href="{PAGE}?revision=2"' in page.text


@pytest.mark.parametrize("path", ["/console/datasets/ann/unknown", "/console/datasets/../x", f"{PAGE}/flow?revision=9"])
def test_unknown_dataset_is_an_error_page(get, specstore, path):
    assert get(path, **WRITER).status_code == 404


def test_actions_are_sent_to_the_service_and_their_errors_are_shown(get, specstore):
    retry = {"action": "retry", "revision": "2", "key": "k-2"}
    specstore.responses["POST /source/ann/wines/2/retry"] = (
        200,
        {"success": True, "flow_id": "ann/wines/3", "errors": []},
    )
    assert get(PAGE, "POST", form=retry, **WRITER).headers["Location"] == f"{PAGE}?revision=3&done=retried"
    assert sent(specstore, "/source/ann/wines/2/retry")[0]["Idempotency-Key"] == "k-2"
    specstore.responses["GET /source/ann/wines/2"] = (200, flow(reds_csv=pipeline()))
    body = {"type": "about:blank", "detail": "No token <or> token not authorised for owner", "status": 403}
    specstore.responses["POST /source/ann/wines/2/cancel"] = (403, body)
    page = get(PAGE, "POST", form={**retry, "action": "cancel"}, **WRITER)
    assert page.status_code == 403 and "No token &lt;or&gt; token" in page.text
    specstore.responses["POST /source/ann/wines/2/cancel"] = (200, {"id": FLOW, "state": "SUCCEEDED", "cancelled": 0})
    page = get(PAGE, "POST", form={**retry, "action": "cancel"}, **WRITER)
    assert page.status_code == 409 and "the flow has already ended" in page.text
    assert get(PAGE, "POST", form={**retry, "action": "x"}, **WRITER).status_code == 400


def test_unavailable_service_is_named(get, services):
    services["specstore"].respond = lambda request: request.send_json(503, {"detail": "the database is unreachable"})
    for path in ("/console/datasets", PAGE):
        page = get(path, **WRITER)
        assert page.status_code == 503 and "the database is unreachable" in page.text
