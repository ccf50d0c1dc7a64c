import pytest

from quintet_testing.invariants import advance_invariants, assert_invariants_hold_during, recompute_invariants


@pytest.fixture
def damage_and_check(app, client, api, an_event, db):
    """Return a function that runs a damaging statement and returns the checks that are broken according to `verify`.

    It deletes all data after the test.
    """
    ids = api.append([an_event(name) for name in "ABABCCC"]).json
    for _ in range(5):
        api.acknowledge(ids[0], "NACK")

    def damage(sql, verify):
        with db.transaction() as tx:
            tx.run(sql)
        return [check for check in verify()["checks"] if check["status"] == "BROKEN"]

    yield damage
    with db.transaction() as tx:
        for table in ("events", "parked", "offsets", "consumers", "schemas", "series", "streams"):
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
        ("UPDATE offsets SET acknowledged = 9", {"offset"}),
        ("UPDATE offsets SET acknowledged = 0", {"parked"}),
        ("UPDATE events SET series_id = 0 WHERE position = 7", {"sequences", "belongs"}),
        ("DELETE FROM offsets", {"parked"}),
        ("UPDATE parked SET sequence = 2", {"parked"}),
    ],
)

PHRASES = {
    "positions": "positions of a stream",
    "sequences": "sequences of an event name",
    "order": "increase together",
    "belongs": "belongs to an event name",
    "offset": "no offset",
    "parked": "no parked event",
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
