import pytest


def test_all_invariants_hold_on_a_fresh_database_and_after_use(client):
    client.get("/sequence?n=9000")
    assert client.get("/invariants").json["status"] == "OK"


@pytest.fixture
def check_invariants(app):
    """Use a new client, because the fixture `client` requires valid invariants after each test."""
    return lambda: app.test_client().get("/invariants").json


def test_changed_built_in_sequence_is_reported(check_invariants, db):
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET maximum = 5000 WHERE name = 'sequence'")
    report = check_invariants()
    assert report["status"] == "BROKEN"
    assert "sequence" in next(check["detail"] for check in report["checks"] if check["status"] == "BROKEN")


def test_fractional_issued_count_is_reported(check_invariants, db):
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET issued = 1.5 WHERE name = 'sequence'")
    assert check_invariants()["status"] == "BROKEN"
