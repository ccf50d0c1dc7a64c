import pytest


@pytest.fixture
def damaged(client, api, an_event, db):
    """Give it a statement that breaks something; afterwards everything is as it was, so that nobody else stumbles."""
    ids = api.append([an_event(name) for name in "ABABCCC"]).json
    for _ in range(5):
        api.settle(ids[0], "NACK")

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
def test_what_is_broken_is_named(damaged, sql, broken):
    found = damaged(sql)
    words = {"positions": "positions of a stream", "sequences": "sequences of a name", "order": "rise together",
             "offset": "no offset", "parked": "what is parked"}  # fmt: skip
    named = {
        word
        for word, part in words.items()
        for check in found["checks"]
        if part in check["name"] and check["status"] == "BROKEN"
    }
    assert named == broken
    assert found["status"] == ("BROKEN" if broken else "OK")
    assert all(check["detail"] for check in found["checks"] if check["status"] == "BROKEN")
