"""Every endpoint reads the same events, regardless of how they were appended."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

APPENDS = st.lists(
    st.lists(st.sampled_from("ABC"), min_size=1, max_size=8)
    | st.builds(lambda name, count: [name] * count, st.sampled_from("AB"), st.integers(90, 220)),
    min_size=1,
    max_size=5,
)


@pytest.fixture
def fill_stream(client, api_for, app, an_event):
    """Return a function that appends events with these names and returns the expected events by position."""
    stream_count = 0

    def fill(appends):
        nonlocal stream_count
        stream_count += 1
        api = api_for(app, f"reads {stream_count}")
        expected = []
        counts = dict.fromkeys("ABC", 0)
        for names in appends:
            bodies = [an_event(name, payload={"n": len(expected) + n}) for n, name in enumerate(names)]
            response = api.append(bodies)
            assert response.status_code == 200, response.text
            for name, id_, body in zip(names, response.json, bodies, strict=True):
                counts[name] += 1
                expected.append((name, counts[name], len(expected) + 1, id_, body["payload"]))
        return api, expected

    return fill


def summary(event):
    return event["event"]["name"], event["sequence"], event["position"], event["event"]["id"], event["payload"]


@given(appends=APPENDS, data=st.data())
@settings(max_examples=30)
def test_every_endpoint_returns_the_same_events(fill_stream, appends, data):
    api, expected = fill_stream(appends)
    start = data.draw(st.integers(1, len(expected) + 1))
    limit = data.draw(st.integers(1, 300))
    page = api.client.get(f"{api.path}/events?from={start}&limit={limit}").json
    assert [summary(event) for event in page] == expected[start - 1 : start - 1 + limit]

    name = data.draw(st.sampled_from(sorted({name for name, *_ in expected})))
    named = [event for event in expected if event[0] == name]
    offset = data.draw(st.integers(0, len(named)))
    api.set_offset(offset, name)
    assert [summary(event) for event in api.read(name, limit=limit).json] == named[offset : offset + limit]

    event = data.draw(st.sampled_from(expected))
    assert summary(api.client.get(f"{api.path}/events/{event[3]}").json) == event
    if offset < len(named):
        assert api.acknowledge(named[offset][3]).status_code == 200
        assert api.acknowledge(named[-1][3], upTo="1").status_code == 200
        assert api.read(name).json == []


@given(appends=APPENDS)
@settings(max_examples=30)
def test_every_event_is_published_once_in_order(fill_stream, db, appends):
    _, expected = fill_stream(appends)
    with db.transaction() as tx:
        rows = tx.rows("SELECT type, message_id::text FROM outbox ORDER BY id")
        tx.run("DELETE FROM outbox")
    assert rows == [(name, id_) for name, _, _, id_, _ in expected]
