"""Reads that need no consumer, of the events of one name."""

import pytest

# The positions of A are 1, 4, 6 and 7.
NAMES = "ABBACAA"


@pytest.fixture
def positions(api, an_event):
    assert api.append([an_event(name) for name in NAMES]).status_code == 200

    def positions(query):
        response = api.get(f"/events?{query}")
        assert response.status_code == 200, response.text
        return [event["position"] for event in response.json]

    return positions


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("before=9007199254740992&limit=9", [7, 6, 4, 1]),
        ("before=7&limit=2", [6, 4]),
        ("before=6&limit=9", [4, 1]),
        ("before=4&limit=9", [1]),
        ("before=1&limit=9", []),
        ("from=1&limit=9", [1, 4, 6, 7]),
        ("from=2&limit=2", [4, 6]),
        ("from=7&limit=9", [7]),
        ("from=8&limit=9", []),
        ("from_time=2000-01-01T00:00:00Z&limit=3", [1, 4, 6]),
        ("from_time=9999-12-31T23:59:59Z&limit=3", []),
    ],
)
def test_only_events_of_the_name_are_returned(positions, query, expected):
    assert positions(f"{query}&name=A") == expected


def test_name_without_events_returns_none(positions):
    assert positions("before=9&limit=9&name=unknown") == []


def test_reads_after_a_deletion_begin_with_the_first_event_left(api, positions, delete_due):
    api.put_retention(max_events=3)
    delete_due()
    assert positions("from=1&limit=9&name=A") == [6, 7]
    assert positions("before=9&limit=9&name=A") == [7, 6]
    assert positions("before=3&limit=9&name=A") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=1&limit=1&name=*", "name"),
        ("from=1&limit=1&name=", "name"),
        ("eventName=A&limit=1&name=A", "name"),
        ("limit=1&name=A", "name"),
    ],
)
def test_invalid_query_returns_400_that_names_the_parameter(api, query, field):
    api.append_events()
    response = api.get(f"/events?{query}")
    assert response.status_code == 400
    assert response.json.startswith(f"Bad Request - {field}: ")


def test_unknown_stream_returns_404(api):
    assert api.get("/events?from=1&limit=1&name=A").status_code == 404
