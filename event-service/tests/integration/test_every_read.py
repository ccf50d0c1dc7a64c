"""However events were appended, together or alone, every way to read returns the same ones."""

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
def filled(client, api_of, app, an_event):
    """Give it the names of the events of each append; what has to be read of them, in order of position."""
    made = 0

    def fill(appends):
        nonlocal made
        made += 1
        api = api_of(app, f"reads {made}")
        wanted = []
        counts = dict.fromkeys("ABC", 0)
        for names in appends:
            bodies = [an_event(name, payload={"n": len(wanted) + n}) for n, name in enumerate(names)]
            answer = api.append(bodies)
            assert answer.status_code == 200, answer.text
            for name, id_, body in zip(names, answer.json, bodies, strict=True):
                counts[name] += 1
                wanted.append((name, counts[name], len(wanted) + 1, id_, body["payload"]))
        return api, wanted

    return fill


def told(event):
    return event["event"]["name"], event["sequence"], event["position"], event["event"]["id"], event["payload"]


@given(appends=APPENDS, data=st.data())
@settings(max_examples=30)
def test_every_way_to_read_gives_the_same_events(filled, appends, data):
    api, wanted = filled(appends)
    start = data.draw(st.integers(1, len(wanted) + 1))
    limit = data.draw(st.integers(1, 300))
    page = api.client.get(f"{api.path}/events?from={start}&limit={limit}").json
    assert [told(event) for event in page] == wanted[start - 1 : start - 1 + limit]

    name = data.draw(st.sampled_from(sorted({event[0] for event in wanted})))
    named = [event for event in wanted if event[0] == name]
    done = data.draw(st.integers(0, len(named)))
    api.set_offset(done, name)
    assert [told(event) for event in api.read(name, limit=limit).json] == named[done : done + limit]

    one = data.draw(st.sampled_from(wanted))
    assert told(api.client.get(f"{api.path}/events/{one[3]}").json) == one
    if done < len(named):
        assert api.settle(named[done][3]).status_code == 200
        assert api.settle(named[-1][3], upTo="1").status_code == 200
        assert api.read(name).json == []


@given(appends=APPENDS)
@settings(max_examples=30)
def test_every_event_is_published_once_in_order(filled, db, appends):
    _, wanted = filled(appends)
    with db.transaction() as tx:
        rows = tx.rows("SELECT type, message_id::text FROM outbox ORDER BY id")
        tx.run("DELETE FROM outbox")
    assert rows == [(name, id_) for name, _, _, id_, _ in wanted]
