"""Migrations 0008 and 0009 add leases; consumers and processes of the previous version continue."""

import uuid

FIRST_NEW_MIGRATION = "0008"

# Statements of the previous version.
OLD_INSERT_OFFSET = """
    INSERT INTO offsets (series_id, consumer, moved_at)
    SELECT id, %(consumer)s, now() FROM series WHERE name = %(name)s
    ON CONFLICT ON CONSTRAINT offsets_pkey DO NOTHING
"""
OLD_UPDATE_OFFSET = """
    UPDATE offsets SET acknowledged = %(acknowledged)s, moved_at = now(), nacks = 0, nacked_at = NULL, reason = ''
    WHERE series_id = (SELECT id FROM series WHERE name = %(name)s) AND consumer = %(consumer)s
"""
OLD_PARK = """
    INSERT INTO parked (series_id, sequence, consumer, nacks, reason, parked_at)
    SELECT id, %(sequence)s, %(consumer)s, 5, 'no', now() FROM series WHERE name = %(name)s
    ON CONFLICT ON CONSTRAINT parked_pkey DO UPDATE
    SET nacks = excluded.nacks, reason = excluded.reason, parked_at = excluded.parked_at, replayed_at = NULL
"""
OLD_REPLAY = "UPDATE parked SET nacks = 0, replayed_at = now()"


def append_events(database, count, name="A"):
    database.run("INSERT INTO streams (name, producer) VALUES ('old', 'producer') ON CONFLICT DO NOTHING")
    database.run(
        """
        INSERT INTO series (stream_id, name, last) SELECT id, %(name)s, %(count)s FROM streams WHERE name = 'old'
        """,
        name=name,
        count=count,
    )
    for sequence in range(1, count + 1):
        database.run(
            """
            INSERT INTO events (stream_id, position, series_id, sequence, id, received_at, request_id, version,
                                system, trigger, payload)
            SELECT streams.id, streams.position + 1, series.id, %(sequence)s, %(id)s, now(), '', '1', '{}', '{}', '{}'
            FROM streams JOIN series ON series.stream_id = streams.id WHERE series.name = %(name)s
            """,
            sequence=sequence,
            id=str(uuid.uuid4()),
            name=name,
        )
        database.run("UPDATE streams SET position = position + 1 WHERE name = 'old'")


def position_consumer(database, acknowledged, consumer="consumer", name="A"):
    database.run(OLD_INSERT_OFFSET, consumer=consumer, name=name)
    database.run(OLD_UPDATE_OFFSET, consumer=consumer, acknowledged=acknowledged, name=name)


def test_existing_consumer_continues_to_read_in_order(old_database, upgrade):
    append_events(old_database, 4)
    position_consumer(old_database, 2)
    old_database.run(OLD_PARK, sequence=1, consumer="consumer", name="A")
    api = upgrade()
    assert api.sequences(name="A") == [3, 4]
    assert api.read("A", lease=60).status_code == 409
    assert api.replay_all().json == "OK"
    assert api.sequences(name="A") == [1, 3, 4]
    api.set_offset(3, "A")
    assert api.lease(name="A") == [1, 4]


def test_statements_of_the_previous_version_still_work(old_database, upgrade):
    append_events(old_database, 4)
    api = upgrade()
    position_consumer(old_database, 1)
    old_database.run(OLD_PARK, sequence=1, consumer="consumer", name="A")
    old_database.run(OLD_REPLAY)
    assert api.sequences(name="A") == [1, 2, 3, 4]
    ids = [event["event"]["id"] for event in api.read("A").json]
    # A delay set by a new process ends with the acknowledgement by an old one.
    api.acknowledge(ids[1], "NACK", delay="3600")
    assert api.sequences(name="A") == [1]
    position_consumer(old_database, 2)
    assert api.sequences(name="A") == [1, 3, 4]
    assert api.client.get("/invariants").json["status"] == "OK"


def test_old_event_with_the_name_of_all_names_is_read_and_acknowledged_as_one_of_them(old_database, upgrade):
    append_events(old_database, 2, "*")
    append_events(old_database, 1, "A")
    position_consumer(old_database, 1, name="*")
    old_database.run(OLD_PARK, sequence=1, consumer="consumer", name="*")
    api = upgrade()
    assert api.consumers() == []
    events = api.read("*", consumer="another").json
    assert [(event["event"]["name"], event["position"]) for event in events] == [("*", 1), ("*", 2), ("A", 3)]
    assert [api.acknowledge(event["event"]["id"]).json for event in events[:2]] == ["OK", "OK"]
    assert api.all_positions() == [3]
