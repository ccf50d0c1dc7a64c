"""Migration 0006 stores one row per event; before it, a row contained a run of consecutive events of one name."""

import json
import secrets
from itertools import groupby

import pytest

from chassis.errors import Unavailable
from chassis.messaging import outbox
from chassis.strictjson import dumps, loads

FIRST_NEW_MIGRATION = "0006"
# The statement of the previous version.
APPEND = """
    SELECT append_events(
        %(stream)s, 'producer', %(user)s, 'f', '0', %(count)s,
        %(kind_streams)s, %(kind_names)s, %(kind_counts)s, %(kind_keys)s, %(kind_types)s, %(kind_headers)s,
        %(kinds)s, %(run_counts)s, %(behind_in_stream)s, %(behind_in_series)s, %(ids)s, %(request_ids)s, %(bodies)s,
        NULL, true
    )
"""
PAYLOAD = {"big": 10**30, "one": 1, "one point": 1.0, "exponent": 1e300, "text": "é e\u0301 🍷 \u2028 \\u0041 \r \x1e"}


@pytest.fixture
def append(old_database, an_event):
    def append(names, *, stream="old", user="ann"):
        """Append events with these names in one call, each group of equal names as a run, and return their IDs."""
        head, tail = f"{secrets.token_hex(4)}-0000-7", f"-8{secrets.token_hex(2)[1:]}-{secrets.token_hex(6)}"
        ids = [f"{head}{number:03x}{tail}" for number in range(len(names))]
        kinds = list(dict.fromkeys(names))
        runs, start = [], 0
        for name, group in groupby(names):
            end = start + len(list(group))
            bodies = [dumps(an_event(name, payload={**PAYLOAD, "n": n})) for n in range(start, end)]
            lines = "\n".join(text.removeprefix('{"event":{').removesuffix("}") for text in bodies)
            runs.append(
                (kinds.index(name) + 1, end - start, len(names) - end, names[end:].count(name), ids[start], lines)
            )
            start = end
        columns = ["\n".join(map(str, column)) for column in zip(*(run[:5] for run in runs), strict=True)]
        params = dict(zip(("kinds", "run_counts", "behind_in_stream", "behind_in_series", "ids"), columns, strict=True))
        rows = old_database.rows(
            APPEND,
            stream=stream,
            user=user,
            count=str(len(names)),
            kind_streams="\n".join(stream for _ in kinds),
            kind_names="\n".join(kinds),
            kind_counts="\n".join(str(names.count(kind)) for kind in kinds),
            kind_keys="\n".join(f"{outbox.key_part(stream)}.{outbox.key_part(kind)}" for kind in kinds),
            kind_types="\n".join(map(outbox.key_part, kinds)),
            kind_headers="\n".join(dumps({"stream": stream, "event": kind}) for kind in kinds),
            request_ids="\n".join("req-1" for _ in runs),
            bodies="\x1e".join(run[5] for run in runs),
            **params,
        )
        assert rows == [(stream,)]
        return ids

    return append


def read_as_previous_version(old_database):
    """Return each event as the previous version reads it, ordered by stream and position."""
    return old_database.rows(
        """
        SELECT streams.name, events.position, events.sequence, events.id, received_at, request_id,
               user_json, '{"event":{' || body || '}'
        FROM events JOIN streams ON streams.id = stream_id ORDER BY streams.name, events.position
        """
    )


def test_every_event_keeps_its_numbers_its_id_and_its_content(old_database, append, upgrade, an_event):
    append(["A"] * 60 + ["B"] + ["A"] * 3)
    append(["C", "A", "C", "A"])
    append(["A"], stream="other", user="")
    before = read_as_previous_version(old_database)
    assert len(before) == 69
    api = upgrade()
    events = [
        event
        for stream in ("old", "other")
        for event in loads(api.client.get(f"/api/v1/streams/{stream}/events?from=1&limit=1000").data)
    ]
    for event, (stream, position, sequence, id_, received_at, request_id, user, body) in zip(
        events, before, strict=True
    ):
        assert event["event"].pop("id") == id_
        assert {name: event[name] for name in ("event", "system", "trigger", "payload")} == loads(body.encode())
        assert (event["stream"], event["position"], event["sequence"]) == (stream, position, sequence)
        assert (event["received_at"], event["request_id"]) == (received_at, request_id)
        assert (event["producer"], event["user"]) == ("producer", json.loads(user))
    assert '"one":1,"one point":1.0,"exponent":1e+300' in api.read("A").text


def test_next_append_continues_positions_and_sequences(old_database, append, upgrade, an_event):
    append(["A", "A", "B"])
    api = upgrade()
    assert api.as_user("bob").append().status_code == 423
    api.append([an_event("B"), an_event("A")])
    page = api.client.get(f"{api.path}/events?from=3&limit=9").json
    assert [(event["event"]["name"], event["position"], event["sequence"]) for event in page] == [
        ("B", 3, 1),
        ("B", 4, 2),
        ("A", 5, 3),
    ]


def test_consumers_continue_from_their_offsets(old_database, append, upgrade, an_event):
    ids = append(["A"] * 5)
    old_database.run(
        """
        INSERT INTO offsets (series_id, consumer, acknowledged, moved_at, nacks, nacked_at, reason)
        SELECT id, 'consumer', 3, now(), 2, now(), 'busy' FROM series
        """
    )
    old_database.run(
        """
        INSERT INTO parked (series_id, sequence, consumer, nacks, reason, parked_at)
        SELECT id, 2, 'consumer', 5, 'broken', now() FROM series
        """
    )
    api = upgrade()
    assert api.sequences(name="A") == [4, 5]
    (state,) = api.consumers()
    assert (state["offset"], state["lag"], state["stuck"]["event"]) == (3, 2, ids[3])
    assert [event["event"]["id"] for event in api.parked()["parked"]] == [ids[1]]
    assert api.replay(ids[1]).status_code == 200
    assert api.sequences(name="A") == [2, 4, 5]
    assert api.acknowledge(ids[3]).status_code == 200


def test_outbox_keeps_its_messages_and_their_order(old_database, append, upgrade, an_event):
    for stream in ("old", "other", "old"):
        append(["A", "A", "ü b"], stream=stream)
    columns = "message_id::text, exchange, routing_key, type, correlation_id, headers, body, mandatory, created_at"
    before = old_database.rows(f"SELECT {columns} FROM outgoing ORDER BY id, place")
    assert len(before) == 9
    upgrade()
    # A relay of the previous version reads the view `outgoing`.
    for source in ("outbox ORDER BY id", "outgoing ORDER BY id, place"):
        after = old_database.rows(f"SELECT {columns} FROM {source}")
        assert [row[:6] + row[7:] for row in after] == [row[:6] + row[7:] for row in before]
        assert [loads(row[6].encode()) for row in after] == [loads(row[6].encode()) for row in before]


def test_process_of_the_previous_version_returns_503_and_stores_nothing(old_database, append, upgrade, an_event):
    append(["A"])
    api = upgrade()
    with pytest.raises(Unavailable):
        append(["A"])
    for call in ("page_for('old', 'A', 'c', 9)", "page_from('old', 1, 9)", f"place_of('{'0' * 32}')"):
        with pytest.raises(Unavailable):
            old_database.rows(f"SELECT * FROM {call}")
    assert api.sequences(name="A") == [1]
