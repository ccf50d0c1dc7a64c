import pytest

from quintet_testing.invariants import advance_invariants, recompute_invariants


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


@pytest.mark.parametrize(
    ("first_ticket", "status"),
    # The records contain the tickets 0 to 9, 20 to 29, and the new one four from this one on.
    [(10, "OK"), (16, "OK"), (30, "OK"), (9, "BROKEN"), (17, "BROKEN"), (22, "BROKEN"), (-1, "BROKEN")],
)
@pytest.mark.parametrize("are_verified", [False, True])
def test_number_that_was_recorded_twice_is_reported(app, check_invariants, db, first_ticket, status, are_verified):
    insert = """
        INSERT INTO issued_numbers
            (sequence, position, period, first_ticket, first, last, username, request_id, issued_at)
        SELECT 'audited', count(*) + 1, '', %(ticket)s, 1000, 999 + %(count)s, 'ann', 'r', now() - interval '1 hour'
        FROM issued_numbers
    """
    with db.transaction() as tx:
        tx.run(insert, ticket=0, count=10)
        tx.run(insert, ticket=20, count=10)
    if are_verified:
        advance_invariants(app)
    with db.transaction() as tx:
        tx.run(insert, ticket=first_ticket, count=4)
    assert check_invariants()["status"] == status
    assert recompute_invariants(app)["status"] == ("SUCCESS" if status == "OK" else "FAILURE")
