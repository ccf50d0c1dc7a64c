import pytest


def test_all_hold_on_a_fresh_database_and_after_use(client):
    client.get("/sequence?n=9000")
    assert client.get("/invariants").json["status"] == "OK"


@pytest.fixture
def asked(app):
    """Without the question after each test."""
    return lambda: app.test_client().get("/invariants").json


def test_a_sequence_that_is_not_as_it_was_made_is_found(asked, db):
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET maximum = 5000 WHERE name = 'sequence'")
    found = asked()
    assert found["status"] == "BROKEN"
    assert "sequence" in next(check["detail"] for check in found["checks"] if check["status"] == "BROKEN")


def test_half_a_number_is_found(asked, db):
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET issued = 1.5 WHERE name = 'sequence'")
    assert asked()["status"] == "BROKEN"
