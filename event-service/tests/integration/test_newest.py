"""The newest events of all streams."""

import pytest

from event_service.domain.cursors import Cursor
from event_service.store import documents


@pytest.fixture
def newest(client):
    def newest(**query):
        response = client.get("/api/v1/events/newest", query_string=query)
        assert response.status_code == 200, response.text
        return response.json

    return newest


def locations(page):
    return [(event["stream"], event["position"]) for event in page["events"]]


def test_events_of_all_streams_are_listed_newest_first(api_for, app, an_event, newest):
    first, second = api_for(app, "first"), api_for(app, "second")
    first.append([an_event(name) for name in "ABA"])
    second.append()
    first.append()
    page = newest()
    assert locations(page) == [("first", 4), ("second", 1), ("first", 3), ("first", 2), ("first", 1)]
    assert (page["total"], page["next"]) == (5, None)
    assert page["events"][1] == second.get("/events?from=1&limit=1").json[0]


def test_pages_continue_where_the_previous_one_ended(api_for, app, newest, db):
    """Also if many events of several streams have the same time."""
    for name in ("first", "second", "third"):
        api_for(app, name).append_events(5)
    with db.transaction() as tx:
        tx.run("UPDATE events SET received_at = '2026-11-21T12:00:00.123457Z' WHERE position > 1")
    seen, query = [], {"limit": 4}
    while True:
        page = newest(**query)
        seen += locations(page)
        assert page["total"] == 15
        if page["next"] is None:
            break
        query["before"] = page["next"]
    assert len(seen) == len(set(seen)) == 15
    assert seen == locations(newest(limit=100))


def test_last_page_that_is_full_has_no_next_page(api, newest):
    api.append_events(2)
    assert newest(limit=2)["next"] is None


def test_without_events_the_list_is_empty(client, newest):
    assert newest() == {"events": [], "total": 0, "next": None}


def test_deleted_events_are_neither_listed_nor_counted(api, newest, delete_due):
    api.append_events(5)
    api.put_retention(max_events=2)
    delete_due()
    page = newest()
    assert (locations(page), page["total"]) == ([(api.stream, 5), (api.stream, 4)], 2)


def test_erased_event_has_no_content(api, newest):
    (event_id,) = api.append_events()
    assert api.as_user("root", "admin").erase(event_id).status_code == 204
    (event,) = newest()["events"]
    assert (event["payload"], event["system"], event["trigger"]) == (None, None, None)
    assert event["erased_at"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("before=", "before"),
        ("before=1-2", "before"),
        ("before=1-2-x", "before"),
        ("before=123456789012345678-1-1", "before"),
        ("offset=1", "offset"),
    ],
)
def test_invalid_query_returns_400_that_names_the_parameter(client, query, field):
    response = client.get(f"/api/v1/events/newest?{query}")
    assert response.status_code == 400
    assert response.json.startswith(f"Bad Request - {field}: ")


def test_largest_cursor_is_accepted(api, newest):
    api.append_events()
    cursor = f"{'9' * 17}-{'9' * 18}-{'9' * 16}"
    assert locations(newest(before=cursor)) == [(api.stream, 1)]


def test_list_uses_the_index(db):
    sql = """
        SELECT position FROM events
        WHERE (received_at, stream_id, position) < (timestamptz '2026-11-21T12:00:00Z', 1::bigint, 1::bigint)
        ORDER BY received_at DESC, stream_id DESC, position DESC LIMIT 5
    """
    with db.transaction() as tx:
        tx.run("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        plan = "\n".join(line for (line,) in tx.rows(f"EXPLAIN {sql}"))
    assert "Index Scan Backward using events_received" in plan
    assert "Index Cond: (received_at <=" in plan


def test_page_reads_only_its_own_events_of_a_stream_that_is_longer_than_most(api_for, app, db):
    for number in range(100):
        api_for(app, f"short-{number}").append()
    with db.transaction() as tx:
        # From now on, Postgres expects streams to be short.
        tx.run("ANALYZE events, series, streams")
    api_for(app, "long").append_events(1000)
    with db.transaction() as tx:
        page = documents.list_newest(tx, Cursor(9 * 10**15, 10**9, 10**9), 50)
        read = tx.value("SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'events'")
    assert len(page) == 50
    # A sequential scan of this small table reads all of its 1,100 events, once.
    assert read < 2000
