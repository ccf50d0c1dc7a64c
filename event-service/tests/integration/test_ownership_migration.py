"""Migration 0004 adds owners; data that was stored before it stays usable."""

import secrets

import pytest

FIRST_NEW_MIGRATION = "0004"
# The statements of the previous version.
OLD_APPEND = """
    SELECT append_events('old', 'producer', %(revision)s, '1', 'old', 'OrderPlaced', '1', 'old.OrderPlaced',
                         'OrderPlaced', '{}', '1', '1', '0', '0', %(id)s, 'req-1', %(line)s, NULL, true)
"""
OLD_SCHEMA = """
    WITH stream AS (
        INSERT INTO streams AS existing (name, revision) VALUES (%(stream)s, 1)
        ON CONFLICT ON CONSTRAINT streams_name DO UPDATE SET revision = existing.revision + 1 RETURNING id
    )
    INSERT INTO schemas (stream_id, name, version, document) SELECT id, 'OrderPlaced', 1, 'false' FROM stream
"""
LINE = '"name":"OrderPlaced","version":1},"payload":{}'


@pytest.fixture
def append(old_database):
    def append(revision="0"):
        id_ = f"{secrets.token_hex(4)}-0000-7000-8000-000000000000"
        assert old_database.rows(OLD_APPEND, id=id_, line=LINE, revision=revision) == [("old",)]
        return id_

    return append


def test_old_events_have_no_user_and_the_next_append_claims_the_stream(old_database, append, upgrade):
    append()
    api = upgrade()
    assert [event["user"] for event in api.read().json] == [None]
    assert api.append(producer="another").status_code == 423
    assert api.append().status_code == 200
    assert api.as_user("bob").append().status_code == 423
    assert [event["user"] for event in api.read().json] == [None, "ann"]


def test_old_consumer_belongs_to_the_user_that_acknowledges_next(old_database, append, upgrade):
    append()
    second = append()
    old_database.run(
        "INSERT INTO offsets (series_id, consumer, acknowledged, moved_at) SELECT id, 'consumer', 1, now() FROM series"
    )
    api = upgrade()
    assert api.sequences() == [2]
    assert api.acknowledge(second).status_code == 200
    assert api.as_user("bob").set_offset(0).status_code == 403


def test_old_schemas_stay_and_lock_no_user_out(old_database, append, upgrade):
    """Their owner is unknown, so a user may replace those of a stream without events."""
    old_database.run(OLD_SCHEMA, stream="old")
    append(revision="1")
    old_database.run(OLD_SCHEMA, stream="empty")
    api = upgrade()
    assert api.append().status_code == 400
    assert api.put_schema(True).status_code == 403
    assert api.as_user("root", "admin").put_schema(True).status_code == 200
    assert api.append().status_code == 200
    api.path = api.path.replace("old", "empty")
    assert api.append().status_code == 400
    assert api.put_schema(True).status_code == 200
    assert api.append().status_code == 200
