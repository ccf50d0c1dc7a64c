def test_all_hold_on_a_fresh_database_and_after_use(client):
    client.get("/sequence?n=9000")
    assert client.get("/invariants").json["status"] == "OK"


def test_a_sequence_that_is_not_as_it_was_made_is_found(client, db):
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET maximum = 5000 WHERE name = 'sequence'")
    found = client.get("/invariants").json
    assert found["status"] == "BROKEN"
    assert "sequence" in next(check["detail"] for check in found["checks"] if check["status"] == "BROKEN")


def test_half_a_number_is_found(client, db):
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET issued = 1.5 WHERE name = 'sequence'")
    assert client.get("/invariants").json["status"] == "BROKEN"
