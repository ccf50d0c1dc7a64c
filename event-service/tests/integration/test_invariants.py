import pytest

# The offset of A, the event of which is parked.
IN_ORDER = "NOT has_leases"


@pytest.fixture
def damage_and_check(client, api, an_event, db):
    """Return a function that runs a damaging statement and returns the invariants; delete all data after the test."""
    ids = api.append([an_event(name) for name in "ABABCCC"]).json
    for _ in range(5):
        api.acknowledge(ids[0], "NACK")
    # The offset of C is 0; its first event is leased, its second one acknowledged, and its third one parked.
    api.lease(name="C")
    api.acknowledge(ids[5])
    for _ in range(5):
        api.acknowledge(ids[6], "NACK")
    api.set_offset(3, "*")

    def damage(sql):
        with db.transaction() as tx:
            tx.run(sql)
        return client.get("/invariants").json

    yield damage
    with db.transaction() as tx:
        for table in ("events", "parked", "leases", "offsets", "consumers", "schemas", "series", "streams"):
            tx.run(f"DELETE FROM {table}")


@pytest.mark.parametrize(
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
def test_broken_invariants_are_reported(damage_and_check, sql, broken):
    report = damage_and_check(sql)
    phrases = {"positions": "positions of a stream", "sequences": "sequences of an event name",
               "order": "increase together", "offset": "no offset", "parked": "no parked event",
               "leases": "the leases of a consumer"}  # fmt: skip
    reported = {
        key
        for key, phrase in phrases.items()
        for check in report["checks"]
        if phrase in check["name"] and check["status"] == "BROKEN"
    }
    assert reported == broken
    assert report["status"] == ("BROKEN" if broken else "OK")
    assert all(check["detail"] for check in report["checks"] if check["status"] == "BROKEN")
