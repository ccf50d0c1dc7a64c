"""Data that was stored before there were owners stays usable."""

import secrets

import pytest

BEFORE = "0004"
# The statements of the version before owners.
OLD_APPEND = """
    SELECT append_events('old', 'producer', %(revision)s, '1', 'old', 'OrderPlaced', '1', 'old.OrderPlaced',
                         'OrderPlaced', '{}', '1', '1', '0', '0', %(id)s, 'req-1', %(line)s, NULL, true)
"""
OLD_SCHEMA = """
    WITH stream AS (
        INSERT INTO streams AS known (name, revision) VALUES (%(stream)s, 1)
        ON CONFLICT ON CONSTRAINT streams_name DO UPDATE SET revision = known.revision + 1 RETURNING id
    )
    INSERT INTO schemas (stream_id, name, version, document) SELECT id, 'OrderPlaced', 1, 'false' FROM stream
"""
LINE = '"name":"OrderPlaced","version":1},"payload":{}'


@pytest.fixture
def append(old):
    def append(revision="0"):
        id_ = f"{secrets.token_hex(4)}-0000-7000-8000-000000000000"
        assert old.rows(OLD_APPEND, id=id_, line=LINE, revision=revision) == [("old",)]
        return id_

    return append


def test_events_stored_before_have_no_user_and_the_stream_none_until_the_next_append(old, append, upgraded):
    append()
    api = upgraded()
    assert [event["user"] for event in api.read().json] == [None]
    assert api.append(producer="another").status_code == 423
    assert api.append().status_code == 200
    assert api.by("bob").append().status_code == 423
    assert [event["user"] for event in api.read().json] == [None, "ann"]


def test_a_consumer_stored_before_belongs_to_who_acknowledges_next(old, append, upgraded):
    append()
    second = append()
    old.run(
        "INSERT INTO offsets (series_id, consumer, acknowledged, moved_at) SELECT id, 'consumer', 1, now() FROM series"
    )
    api = upgraded()
    assert api.sequences() == [2]
    assert api.settle(second).status_code == 200
    assert api.by("bob").set_offset(0).status_code == 403


def test_schemas_stored_before_stay_and_their_stream_is_locked_for_nobody(old, append, upgraded):
    """Who set them is unknown: those of a stream without events give way to what the appending user sets."""
    old.run(OLD_SCHEMA, stream="old")
    append(revision="1")
    old.run(OLD_SCHEMA, stream="empty")
    api = upgraded()
    assert api.append().status_code == 400
    assert api.put_schema(True).status_code == 403
    assert api.by("root", "admin").put_schema(True).status_code == 200
    assert api.append().status_code == 200
    api.path = api.path.replace("old", "empty")
    assert api.append().status_code == 400
    assert api.put_schema(True).status_code == 200
    assert api.append().status_code == 200
