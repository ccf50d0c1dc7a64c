import pytest


@pytest.fixture
def damage_and_check(client, api, an_event, db):
    """Return a function that runs a damaging statement and returns the invariants; delete all data after the test."""
    ids = api.append([an_event(name) for name in "ABABCCC"]).json
    for _ in range(5):
        api.acknowledge(ids[0], "NACK")

    def damage(sql):
        with db.transaction() as tx:
            tx.run(sql)
        return client.get("/invariants").json

    yield damage
    with db.transaction() as tx:
        for table in ("events", "parked", "offsets", "consumers", "schemas", "series", "streams"):
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
        ("UPDATE offsets SET acknowledged = 9", {"offset"}),
        ("UPDATE offsets SET acknowledged = 0", {"parked"}),
        ("DELETE FROM offsets", {"parked"}),
        ("UPDATE parked SET sequence = 2", {"parked"}),
    ],
)
def test_broken_invariants_are_reported(damage_and_check, sql, broken):
    report = damage_and_check(sql)
    phrases = {"positions": "positions of a stream", "sequences": "sequences of an event name",
               "order": "increase together", "offset": "no offset", "parked": "no parked event"}  # fmt: skip
    reported = {
        key
        for key, phrase in phrases.items()
        for check in report["checks"]
        if phrase in check["name"] and check["status"] == "BROKEN"
    }
    assert reported == broken
    assert report["status"] == ("BROKEN" if broken else "OK")
    assert all(check["detail"] for check in report["checks"] if check["status"] == "BROKEN")
