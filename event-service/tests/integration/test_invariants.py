from datetime import UTC, datetime

import pytest

from event_service.operations import retention
from quintet_testing.invariants import advance_invariants, assert_invariants_hold_during, recompute_invariants

# The offset of A, the event of which is parked.
IN_ORDER = "NOT has_leases"


@pytest.fixture
def damage_and_check(app, client, api, an_event, db):
    """Return a function that runs a damaging statement and returns the checks that are broken according to `verify`.

    It deletes all data after the test.
    """
    ids = api.append([an_event(name) for name in "ABABCCC"]).json
    for _ in range(5):
        api.acknowledge(ids[0], "NACK")
    # The offset of C is 0; its first event is leased, its second one acknowledged, and its third one parked.
    api.lease(name="C")
    api.acknowledge(ids[5])
    for _ in range(5):
        api.acknowledge(ids[6], "NACK")
    api.set_offset(3, "*")

    def damage(sql, verify):
        with db.transaction() as tx:
            tx.run(sql)
        return [check for check in verify()["checks"] if check["status"] == "BROKEN"]

    yield damage
    with db.transaction() as tx:
        for table in ("events", "parked", "leases", "offsets", "consumers", "schemas", "series", "streams"):
            tx.run(f"DELETE FROM {table}")


DAMAGES = pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("SELECT 1", set()),
        ("DELETE FROM events WHERE position = 2", {"positions", "sequences"}),
        ("UPDATE events SET position = 9 WHERE position = 4", {"positions"}),
        ("DELETE FROM events WHERE position = 1", {"positions", "sequences"}),
        ("DELETE FROM events WHERE position = 7", {"positions", "sequences"}),
        ("UPDATE streams SET position = 5 WHERE position = 7", {"positions"}),
        ("UPDATE series SET last = 3 WHERE name = 'A'", {"sequences"}),
        ("UPDATE events SET sequence = 7 WHERE position = 4", {"sequences"}),
        ("UPDATE events SET position = 20 - position", {"positions", "order"}),
        ("UPDATE events SET series_id = 0 WHERE position = 7", {"sequences", "belongs"}),
        ("UPDATE events SET series_id = -5 WHERE position = 7", {"sequences", "belongs"}),
        # Without a first event that is left, no event may be.
        ("UPDATE streams SET first = 8 WHERE position = 7", {"positions", "offset"}),
        ("UPDATE series SET first = 4 WHERE name = 'C'", {"sequences", "offset", "parked"}),
        # Only the first event was deleted, but it is still there.
        ("UPDATE streams SET first = 2 WHERE position = 7", {"positions"}),
        ("UPDATE streams SET first = 9 WHERE position = 7", {"positions", "offset"}),
        (f"UPDATE offsets SET acknowledged = 9 WHERE {IN_ORDER}", {"offset"}),
        (f"UPDATE offsets SET acknowledged = 0 WHERE {IN_ORDER}", {"parked"}),
        (f"DELETE FROM offsets WHERE {IN_ORDER}", {"parked"}),
        ("UPDATE parked SET sequence = 2 WHERE sequence = 1", {"parked"}),
        ("UPDATE offsets SET acknowledged = 8 WHERE series_id < 0", {"offset"}),
        ("UPDATE offsets SET series_id = -(2^40)::bigint WHERE series_id < 0", {"offset"}),
        ("UPDATE offsets SET nacks = 1, nacked_at = now() WHERE has_leases", {"offset"}),
        ("DELETE FROM offsets WHERE has_leases", {"parked", "leases"}),
        ("UPDATE offsets SET has_leases = false WHERE has_leases", {"leases"}),
        ("UPDATE offsets SET acknowledged = 1 WHERE has_leases", {"leases"}),
        ("DELETE FROM leases WHERE sequence = 1", {"leases"}),
        ("DELETE FROM leases WHERE sequence = 2", {"leases"}),
        ("DELETE FROM leases WHERE sequence = 3", {"parked"}),
        ("UPDATE leases SET available_at = NULL WHERE sequence = 1", {"leases"}),
        ("UPDATE leases SET available_at = now() WHERE sequence = 3", {"parked"}),
        ("UPDATE leases SET sequence = 4 WHERE sequence = 3", {"parked", "leases"}),
    ],
)

PHRASES = {
    "positions": "positions of a stream",
    "sequences": "sequences of an event name",
    "order": "increase together",
    "belongs": "belongs to an event name",
    "offset": "no offset",
    "parked": "no parked event",
    "leases": "the leases of a consumer",
}


def keys_of(checks):
    assert all(check["detail"] for check in checks)
    return {key for key, phrase in PHRASES.items() for check in checks if phrase in check["name"]}


@DAMAGES
def test_broken_invariants_are_reported(damage_and_check, client, sql, broken):
    assert keys_of(damage_and_check(sql, lambda: client.get("/invariants").json)) == broken
    assert client.get("/invariants").json["status"] == ("BROKEN" if broken else "OK")


@DAMAGES
def test_full_run_reports_invariants_that_broke_after_they_were_verified(damage_and_check, app, sql, broken):
    advance_invariants(app)
    assert keys_of(damage_and_check(sql, lambda: recompute_invariants(app))) == broken
    with app.database.transaction() as tx:
        tx.run("DELETE FROM invariant_marks")
        tx.run("DELETE FROM invariant_ranges")


def test_verified_events_are_not_verified_again_but_new_ones_are(damage_and_check, app, client, api, an_event):
    advance_invariants(app)
    assert not damage_and_check("DELETE FROM events WHERE position = 5", lambda: client.get("/invariants").json)
    api.append([an_event(name) for name in "AB"])
    broken = damage_and_check("DELETE FROM events WHERE position = 8", lambda: client.get("/invariants").json)
    assert keys_of(broken) == {"positions", "sequences"}


def test_events_that_are_appended_during_full_runs_are_never_reported(app, client, api_for, an_event):
    def append(number):
        # Two writers share each stream.
        api = api_for(app, f"stream {number % 2}")
        assert api.append([an_event(name) for name in "ABA"]).status_code == 200

    assert_invariants_hold_during(app, append, writer_count=4)


def test_retention_and_leases_during_full_runs_are_never_reported(app, api_for, an_event):
    apis = [api_for(app, f"stream {number}") for number in range(3)]
    for api in apis:
        api.append([an_event(name) for name in "ABABC"])
        assert api.put_retention(max_events=4).status_code == 200
    assert apis[2].put_retention(max_age_days=1).status_code == 200

    def write(number):
        if number == 0:
            with app.database.transaction() as tx:
                # The last stream loses all events that it has.
                tx.run(
                    """
                    UPDATE events SET received_at = '2020-01-01'
                    WHERE stream_id = (SELECT id FROM streams WHERE name = 'stream 2')
                    """
                )
                retention.delete_due_events(tx, datetime.now(UTC))
        elif number == 1:
            for api in apis:
                assert api.append([an_event(name) for name in "ABC"]).status_code == 200
        else:
            api = apis[number - 2]
            for event in api.read("A", limit=3, lease=3600).json[1:]:
                api.acknowledge(event["event"]["id"], "ACK" if event["position"] % 2 else "NACK")
            for event in api.read("B", limit=1, consumer="other").json:
                api.acknowledge(event["event"]["id"], "NACK", consumer="other")

    assert_invariants_hold_during(app, write, writer_count=5)
    with app.database.transaction() as tx:
        assert tx.value("SELECT min(first) FROM streams WHERE name LIKE 'stream _'") > 10


def test_stream_of_which_all_events_were_deleted_is_verified(app, client, api, an_event, db, delete_due):
    api.append([an_event(name) for name in "AB"])
    advance_invariants(app)
    api.append([an_event(name) for name in "AB"])
    api.put_retention(max_age_days=1)
    with db.transaction() as tx:
        tx.run("UPDATE events SET received_at = '2020-01-01'")
    delete_due()
    assert client.get("/invariants").json["status"] == "OK"
    assert recompute_invariants(app)["status"] == "SUCCESS"
    api.append([an_event(name) for name in "BBC"])
    assert client.get("/invariants").json["status"] == "OK"
    advance_invariants(app)
    assert client.get("/invariants").json["status"] == "OK"
    assert recompute_invariants(app)["status"] == "SUCCESS"
