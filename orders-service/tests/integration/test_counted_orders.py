"""The invariants about orders find those that are missing, left over or counted wrongly."""

import pytest

from quintet_testing.invariants import broken_checks, recompute_invariants


@pytest.fixture
def broken(app, db):
    """Return a function that damages the tables, returns the names of the broken invariants, and repairs the damage.

    The invariants are recomputed, because a request reads the first orders only: how many those are depends on how much
    space the deleted orders of earlier tests take.
    """

    def check(damage, repair):
        with db.transaction() as tx:
            tx.run(damage)
        report = recompute_invariants(app)
        with db.transaction() as tx:
            tx.run(repair)
        assert recompute_invariants(app)["status"] == "SUCCESS"
        return broken_checks(report["checks"])

    return check


TOTAL = "the stored orders are those that the imports created and that were not deleted"
EACH = "each import still has the orders that it created, unless they were deleted"
COUNTS = "the counts by state equal those of the orders"


@pytest.mark.parametrize(
    ("damage", "repair", "names"),
    [
        (
            "CREATE TABLE hidden AS SELECT * FROM orders WHERE id = 1; DELETE FROM orders WHERE id = 1",
            "INSERT INTO orders SELECT * FROM hidden; DROP TABLE hidden",
            {EACH, COUNTS},
        ),
        (
            "UPDATE orders SET import_number = 1000000 WHERE id = 1",
            "UPDATE orders SET import_number = (SELECT number FROM imports) WHERE id = 1",
            {EACH},
        ),
        (
            "UPDATE imports SET undo_status = 'SUCCESS'",
            "UPDATE imports SET undo_status = NULL",
            {EACH},
        ),
        (
            "UPDATE imports SET undo_deleted = 1",
            "UPDATE imports SET undo_deleted = 0",
            {TOTAL, EACH},
        ),
        (
            "INSERT INTO order_counts VALUES ('TX', true, 1)",
            "INSERT INTO order_counts VALUES ('TX', true, -1)",
            {TOTAL, COUNTS},
        ),
        (
            "UPDATE imports SET updated = 4",
            "UPDATE imports SET updated = 0",
            {TOTAL, "a finished import has counted each row once"},
        ),
        (
            "INSERT INTO order_deletions VALUES (0, 1)",
            "DELETE FROM order_deletions",
            {TOTAL},
        ),
    ],
)
def test_damage_is_found(api, build_csv, build_row, broken, damage, repair, names):
    api.run_import(build_csv(*(build_row(id) for id in range(3))))
    assert broken(damage, repair) == names
