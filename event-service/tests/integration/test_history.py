"""Reads that need no consumer: backwards, by time, by ID, and by request."""

from datetime import datetime, timedelta

import pytest


def page(api, query):
    response = api.get(f"/events?{query}")
    assert response.status_code == 200, response.text
    return [event["position"] for event in response.json]


def test_events_before_a_position_are_returned_newest_first(api, an_event):
    ids = api.append([an_event(name) for name in "ABCAB"]).json
    assert page(api, "before=4&limit=2") == [3, 2]
    assert page(api, "before=2&limit=9") == [1]
    assert page(api, "before=1&limit=9") == []
    assert page(api, "before=9007199254740992&limit=1000") == [5, 4, 3, 2, 1]
    assert api.get("/events?before=6&limit=1").json == [api.get(f"/events/{ids[4]}").json]


def set_times(api, db, *minutes):
    """Set the times at which the events were received, in minutes after noon."""
    with db.transaction() as tx:
        for position, minute in enumerate(minutes, 1):
            tx.run(
                """
                UPDATE events SET received_at = timestamptz '2026-11-21T12:00:00Z' + make_interval(mins => %(minute)s)
                WHERE position = %(position)s AND stream_id = (SELECT id FROM streams WHERE name = %(stream)s)
                """,
                minute=minute,
                position=position,
                stream=api.stream,
            )


@pytest.mark.parametrize(
    ("time", "positions"),
    [
        ("2026-11-21T11:00:00Z", [1, 2, 3]),
        ("2026-11-21T12:00:00Z", [1, 2, 3]),
        ("2026-11-21T12:00:00.000001Z", [3, 4, 5]),
        ("2026-11-21t12:05:00z", [3, 4, 5]),
        ("2026-11-21T14:09:30%2B02:00", [5, 6]),
        ("2026-11-21T12:09:00Z", [4, 5, 6]),
        ("2026-11-21T12:10:00Z", [5, 6]),
        ("2026-11-21T12:10:00.1Z", []),
        ("9999-12-31T23:59:59Z", []),
        ("2016-12-31T23:59:60Z", [1, 2, 3]),
    ],
)
def test_events_from_a_time_begin_with_the_first_received_at_or_after_it(api, db, time, positions):
    api.append_events(6)
    set_times(api, db, 0, 0, 5, 9, 10, 10)
    assert page(api, f"from_time={time}&limit=3") == positions


def test_every_time_and_number_of_events_is_found(api, db):
    for count in range(1, 12):
        api.append_events()
        set_times(api, db, *range(count))
        for minute in range(count):
            time = datetime.fromisoformat("2026-11-21T12:00:00Z") + timedelta(minutes=minute)
            assert page(api, f"from_time={time:%Y-%m-%dT%H:%M:%SZ}&limit=1") == [minute + 1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("before=0&limit=1", "before"),
        ("before=-1&limit=1", "before"),
        ("before=x&limit=1", "before"),
        ("before=1", "limit"),
        ("before=1&limit=1001", "limit"),
        ("before=1&from=1&limit=1", "from"),
        ("before=1&from_time=2026-11-21T12:00:00Z&limit=1", "before"),
        ("before=1&limit=1&eventName=A", "before"),
        ("before=1&limit=1&wait=1", "before"),
        ("before=1&before=2&limit=1", "before"),
        ("from_time=2026-11-21&limit=1", "from_time"),
        ("from_time=&limit=1", "from_time"),
        ("from_time=2026-11-21T12:00:00&limit=1", "from_time"),
        ("from_time=2026-11-21T12:00:60Z&limit=1", "from_time"),
        ("from_time=2026-11-21T12:00:00Z&limit=1&eventName=A", "from_time"),
    ],
)
def test_invalid_query_returns_400_that_names_the_parameter(api, query, field):
    api.append_events()
    response = api.get(f"/events?{query}")
    assert response.status_code == 400
    assert f"{field}: " in response.json


def test_unknown_stream_returns_404(api, stream):
    for query in ("before=5&limit=1", "from_time=2026-11-21T12:00:00Z&limit=1"):
        response = api.get(f"/events?{query}")
        assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")


def test_event_is_found_by_its_id_alone(api, client):
    (event_id,) = api.append_events()
    response = client.get(f"/api/v1/events/{event_id}")
    assert (response.status_code, response.json) == (200, api.get(f"/events/{event_id}").json)
    assert client.get(f"/api/v1/events/{event_id.upper()}").json == response.json


@pytest.mark.parametrize("event_id", ["01a219d1-c0f1-740c-84db-e1aa8e5c3648", "x", "0"])
def test_unknown_id_returns_404(client, event_id):
    response = client.get(f"/api/v1/events/{event_id}")
    assert (response.status_code, response.json) == (404, "Not Found")


def test_events_that_a_request_caused_are_listed_in_pages(api_for, app, an_event, client):
    first, second = api_for(app, "first"), api_for(app, "second")
    ids = first.append([an_event(), an_event("A")], X_Request_ID="request-1").json
    first.append(X_Request_ID="request-2")
    ids.append(second.append(X_Request_ID="request-1").json)
    listing = client.get("/api/v1/events?request_id=request-1").json
    assert listing["total"] == 3
    assert [event["event"]["id"] for event in listing["events"]] == ids
    assert listing["events"][2] == second.get(f"/events/{ids[2]}").json
    listing = client.get("/api/v1/events?request_id=request-1&limit=1&offset=1").json
    assert ([event["event"]["id"] for event in listing["events"]], listing["total"]) == (ids[1:2], 3)
    assert client.get("/api/v1/events?request_id=request-1&offset=3").json == {"events": [], "total": 3}
    assert client.get("/api/v1/events?request_id=unknown").json == {"events": [], "total": 0}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "request_id"),
        ("request_id=", "request_id"),
        ("request_id=a%20b", "request_id"),
        ("request_id=%C3%A4", "request_id"),
        (f"request_id={'x' * 129}", "request_id"),
        ("request_id=a&limit=0", "limit"),
        ("request_id=a&limit=1001", "limit"),
        ("request_id=a&offset=-1", "offset"),
        ("request_id=a&x=1", "x"),
    ],
)
def test_invalid_query_of_the_listing_returns_400_that_names_the_parameter(client, query, field):
    response = client.get(f"/api/v1/events?{query}")
    assert response.status_code == 400
    assert response.json.startswith(f"Bad Request - {field}: ")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM events WHERE request_id = 'r'",
        "SELECT position FROM events WHERE request_id = 'r' ORDER BY received_at, stream_id, position LIMIT 5 OFFSET 5",
    ],
)
def test_listing_uses_the_index(db, sql):
    with db.transaction() as tx:
        tx.run("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off")
        plan = "\n".join(line for (line,) in tx.rows(f"EXPLAIN {sql}"))
    assert "events_request" in plan
    assert "Sort" not in plan
