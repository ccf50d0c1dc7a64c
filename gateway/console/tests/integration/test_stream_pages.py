"""Pages of the streams through the console's real web process; a small HTTP server responds for the event-service."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

WRITER = {"X_Authenticated_User": "ann", "X_Authenticated_Role": "writer"}
READER = {"X_Authenticated_User": "rita", "X_Authenticated_Role": "reader"}
NAME, QUOTED = "Bücher? #1 100%", "B%C3%BCcher%3F%20%231%20100%25"
TIME = "2026-11-27T06:00:00.000000Z"
EVENT_ID = "01a219d1-c0f1-740c-84db-e1aa8e5c3648"


def a_stream(stream=NAME, **fields):
    counts = {"OrderPlaced": 1234, "<b>": 1}
    return {
        "stream": stream, "producer": "shop", "events": counts, "position": 1235, "first_at": TIME, "last_at": TIME,
    } | fields  # fmt: skip


def an_event(position, payload=None):
    return {
        "event": {"id": EVENT_ID, "name": "OrderPlaced", "version": 1}, "system": {}, "trigger": {}, "payload": payload,
        "stream": NAME, "sequence": position, "position": position, "producer": "shop", "user": "ann",
        "request_id": "r-1", "received_at": TIME,
    }  # fmt: skip


BLOCKING = {"event": EVENT_ID, "since": TIME, "nacks": 2, "reason": "<unknown> tax rate"}
CONSUMER = {
    "consumer": "billing", "eventName": "OrderPlaced", "offset": 3, "lag": 1232, "moved_at": TIME, "stuck": BLOCKING,
    "parked": 2,
}  # fmt: skip
PARKED = an_event(7) | {"nacks": 5, "reason": "mailbox <unavailable>", "parked_at": TIME}


@pytest.fixture
def bodies():
    """Responses of the event-service by the end of the path: (status, body) each."""
    return {
        "/streams": (200, {"streams": [a_stream()], "total": 1}),
        f"/{QUOTED}": (200, a_stream()),
        "/orders": (200, a_stream("orders")),
        "/events": (200, [an_event(2), an_event(1)]),
        "/consumers": (200, {"consumers": [CONSUMER], "total": 1}),
        "/parked": (200, {"parked": [PARKED], "total": 1}),
        "/retention": (200, {"max_age_days": 90, "max_events": None}),
        "/schemas": (200, {"schemas": [{"eventName": "Order Placed", "version": 1}], "total": 1}),
    }


@pytest.fixture
def event_service(services, bodies):
    def respond(request):
        path = request.path.partition("?")[0]
        request.send_json(*bodies[path[path.rindex("/") :]])

    services["event"].respond = respond
    return services["event"]


def query_of(service, end):
    """Return the query of the last request whose path ends so."""
    urls = [urlsplit(path) for path, _ in service.requests]
    (*_, query) = [url.query for url in urls if url.path.endswith(end)]
    return {name: values[0] for name, values in parse_qs(query).items()}


PAGES = [
    "/console/streams",
    f"/console/streams/{QUOTED}",
    f"/console/streams/{QUOTED}/consumers",
    f"/console/streams/{QUOTED}/consumers/billing",
    f"/console/streams/{QUOTED}/settings",
]


@pytest.mark.parametrize("path", PAGES)
def test_reader_is_offered_no_action(get, event_service, path):
    page = get(path, **READER)
    assert page.status_code == 200 and NAME in page.text
    assert 'method="post"' not in page.text
    if not path.endswith("/consumers"):
        assert 'method="post"' in get(path, **WRITER).text


@pytest.mark.parametrize("path", PAGES)
def test_page_escapes_values_and_has_no_inline_code(get, event_service, path):
    text = get(path, **WRITER).text
    assert "://" not in text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|<b>|<un", text)


def test_names_are_quoted_in_links_and_in_requests_to_the_service(get, event_service):
    assert f'href="/console/streams/{QUOTED}"' in get("/console/streams", **WRITER).text
    text = get(f"/console/streams/{QUOTED}?name=a%26b", **WRITER).text
    assert f'data-live-url="/api/v1/streams/{QUOTED}/live?eventName=a%26b"' in text
    assert query_of(event_service, f"/{QUOTED}/events")["name"] == "a&b"


@pytest.mark.parametrize(
    ("path", "list_", "size"),
    [("consumers", "consumers", 50), ("consumers/billing", "parked", 20), ("settings", "schemas", 100)],
)
def test_long_list_is_paged(get, event_service, bodies, path, list_, size):
    bodies[f"/{list_}"][1]["total"] = 2 * size + 1
    url = f"/console/streams/{QUOTED}/{path}"
    text = get(f"{url}?offset={size}", **WRITER).text
    assert query_of(event_service, f"/{list_}") == {"limit": str(size), "offset": str(size)}
    assert f'href="{url}" rel="prev"' in text and f'href="{url}?offset={2 * size}" rel="next"' in text


def test_list_is_filtered_and_continues_after_its_last_name(get, event_service, bodies):
    bodies["/streams"] = (200, {"streams": [a_stream(f"s {number:02d}") for number in range(51)], "total": 99})
    text = get("/console/streams?prefix=s+&after=s", **WRITER).text
    assert query_of(event_service, "/streams") == {"limit": "51", "prefix": "s ", "after": "s"}
    assert "s 49</a>" in text and "s 50</a>" not in text
    assert 'href="/console/streams?prefix=s+&amp;after=s+49" rel="next"' in text


def test_list_without_streams_says_what_to_do(get, event_service, bodies):
    bodies["/streams"] = (200, {"streams": [], "total": 0})
    text = get("/console/streams", **WRITER).text
    assert "No stream exists" in text and '<details class="panel" open>' in text


def test_newest_events_are_shown_and_older_ones_linked(get, event_service, bodies):
    bodies["/events"] = (200, [an_event(position) for position in range(40, 14, -1)])
    text = get(f"/console/streams/{QUOTED}", **WRITER).text
    assert int(query_of(event_service, "/events")["before"]) > 10**15
    assert re.findall(r'data-field="position">(\d+)', text)[:-1] == [str(position) for position in range(40, 15, -1)]
    assert 'before=16" rel="next"' in text and 'rel="prev"' not in text
    assert "Follow live" in text


def test_events_from_a_position_are_shown_newest_first(get, event_service, bodies):
    bodies["/events"] = (200, [an_event(position) for position in range(15, 41)])
    text = get(f"/console/streams/{QUOTED}?from=15", **WRITER).text
    assert re.findall(r'data-field="position">(\d+)', text)[:-1] == [str(position) for position in range(39, 14, -1)]
    assert 'from=40" rel="prev"' in text and 'before=15" rel="next"' in text
    assert "Follow live" not in text


def test_time_without_offset_is_in_utc(get, event_service):
    get(f"/console/streams/{QUOTED}?from_time=2026-11-27T06:30", **WRITER)
    assert query_of(event_service, "/events")["from_time"] == "2026-11-27T06:30:00+00:00"


@pytest.mark.parametrize("time", ["soon", "2026-13-01T00:00"])
def test_invalid_time_is_explained_at_its_field(get, event_service, time):
    response = get(f"/console/streams/{QUOTED}?from_time={time}", **WRITER)
    assert response.status_code == 400
    assert "From (UTC) must be a time such as" in response.text


def test_error_text_of_the_service_is_shown_in_place_of_the_events(get, event_service, bodies):
    bodies["/events"] = (400, "Bad Request - before: must be at most 9; name: must not be <b>")
    response = get(f"/console/streams/{QUOTED}?before=10", **WRITER)
    assert (response.status_code, "1,235" in response.text) == (400, True)
    assert "before: must be at most 9</p>" in response.text
    assert "name: must not be &lt;b&gt;</p>" in response.text


def test_large_event_is_shown_in_part_with_a_link_to_the_whole_one(get, event_service, bodies):
    bodies["/events"] = (200, [an_event(1, {"text": "x" * 100_000})])
    text = get(f"/console/streams/{QUOTED}", **WRITER).text
    assert len(text) < 40_000
    assert f'href="/api/v1/events/{EVENT_ID}"' in text


@pytest.mark.parametrize(("path", "failing"), [(PAGES[1], "/events"), (PAGES[2], "/consumers"), (PAGES[3], "/parked")])
def test_part_that_cannot_be_read_says_so_and_the_rest_is_shown(get, event_service, bodies, path, failing):
    bodies[failing] = (503, "Service Unavailable - Postgres is unavailable")
    response = get(path, **WRITER)
    assert (response.status_code, NAME in response.text) == (200, True)
    assert "Postgres is unavailable</p>" in response.text


@pytest.mark.parametrize("path", PAGES)
def test_page_without_its_service_is_an_error_page(get, event_service, path):
    event_service.respond = lambda request: request.connection.close()
    response = get(path, **WRITER)
    assert (response.status_code, "event-service does not respond" in response.text) == (503, True)


def test_unknown_stream_is_an_error_page(get, event_service, bodies):
    bodies[f"/{QUOTED}"] = (404, f"Not Found - stream {NAME}")
    response = get(f"/console/streams/{QUOTED}", **WRITER)
    assert response.status_code == 404
    assert f"stream {NAME}</p>" in response.text


def test_stream_of_a_service_offers_no_append(get, event_service):
    text = get("/console/streams/orders", **WRITER).text
    assert "Only the orders-service appends to this stream" in text
    assert 'method="post"' not in text


@pytest.mark.parametrize("path", [PAGES[2], PAGES[3]])
def test_blocked_consumer_says_why(get, event_service, path):
    text = get(path, **WRITER).text
    assert re.search(r"Stuck</span>\s+for [^<]* after 2 NACKs: &lt;unknown&gt; tax rate", text)


def test_parked_events_are_shown_with_their_reasons(get, event_service):
    text = get(f"/console/streams/{QUOTED}/consumers/billing", **WRITER).text
    assert query_of(event_service, "/consumers") == {"consumer": "billing"}
    assert "mailbox &lt;unavailable&gt;" in text
