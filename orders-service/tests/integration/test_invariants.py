"""Damaged tables are reported, whether a request verifies them or the worker in several steps."""

import itertools

import pytest

from chassis.db import invariant_runs
from chassis.db.invariants import Step
from orders_service.store.invariants import INVARIANTS
from quintet_testing.invariants import (
    advance_invariants,
    assert_invariants_hold_during,
    broken_checks,
    recompute_invariants,
)

ITEMS_PER_STEP, MANY = 300, 1000
COUNTS = "the counts by state equal those of the orders"
INSERT_ORDERS = """
    INSERT INTO orders (id, birthday, failed, name, email, state, zipcode)
    SELECT id, '1963-02-27', 0, 'Ann', 'ann@example.com',
           CASE abs(id) %% 3 WHEN 0 THEN 'tx' WHEN 1 THEN 'TX' ELSE 'Ohio' END, '1'
    FROM generate_series(%(first)s, %(last)s) AS id
"""
INSERT_COUNTS = """
    INSERT INTO order_counts (state, valid, orders)
    SELECT CASE WHEN abs(id) %% 3 < 2 THEN 'TX' ELSE '' END, true, count(*)
    FROM generate_series(%(first)s, %(last)s) AS id GROUP BY 1
"""
INSERT_IMPORT = """
    INSERT INTO imports (id, username, request_id, file_name, dry_run, status, uploaded_at, total, valid, blocks,
                         next_block, batch_no)
    VALUES (gen_random_uuid(), 'ann', 'r', 'f', false, 'SUCCESS', now(), %(size)s, %(size)s, 0, 0, 1)
"""


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    monkeypatch.setattr(invariant_runs, "_ITEMS_PER_STEP", ITEMS_PER_STEP)


def insert_imported(tx, first, last):
    for sql in (INSERT_ORDERS, INSERT_COUNTS):
        tx.run(sql, first=first, last=last)
    tx.run(INSERT_IMPORT, size=last - first + 1)


@pytest.mark.parametrize("count", [10, MANY])
@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("SELECT 1", set()),
        ("UPDATE orders SET state = 'CA' WHERE id = 3", {COUNTS}),
        ("UPDATE orders SET failed = 1 WHERE id = 7", {COUNTS}),
        ("DELETE FROM orders WHERE id = 10", {COUNTS}),
        ("DELETE FROM order_counts", {COUNTS, "the stored orders are those that the imports counted"}),
        ("UPDATE imports SET total = 9", {"a finished import has counted each row once"}),
        (
            "UPDATE imports SET status = 'PROGRESS', blocks = 1",
            {"an import in progress has all remaining chunks of its file"},
        ),
    ],
)
def test_damage_is_reported(app, db, count, sql, broken):
    with db.transaction() as tx:
        insert_imported(tx, 1, count)
        tx.run(sql)
    advance_invariants(app)
    report = app.test_client().get("/invariants").json
    assert (report["status"], broken_checks(report["checks"])) == ("BROKEN" if broken else "OK", broken)
    full = recompute_invariants(app)
    assert (full["status"], broken_checks(full["checks"])) == ("FAILURE" if broken else "SUCCESS", broken)


def test_orders_written_during_the_count_are_not_reported_as_a_difference(db):
    with db.transaction() as tx:
        # Without the blocks of earlier tests.
        tx.run("TRUNCATE orders")
        insert_imported(tx, 1, MANY)
    step = Step(None, None, is_done=False)
    numbers = iter(range(30))
    while not step.is_done:
        number = next(numbers)
        with db.transaction() as tx:
            step = INVARIANTS[COUNTS].step(tx, step.mark, 100)
        assert step.violation is None
        with db.transaction() as tx:
            insert_imported(tx, 2000 + 10 * number, 2009 + 10 * number)
            # Changed rows move from counted blocks to others, and back.
            tx.run("UPDATE orders SET state = 'CA' WHERE id = %(id)s", id=number * 3 + 1)
            tx.run("INSERT INTO order_counts (state, valid, orders) VALUES ('TX', true, -1), ('CA', true, 1)")
    assert number > 3


def test_imports_during_full_runs_are_never_reported(app, db):
    with db.transaction() as tx:
        insert_imported(tx, 1, MANY)
    firsts = itertools.count(MANY + 1, 10)

    def write(_):
        with db.transaction() as tx:
            first = next(firsts)
            insert_imported(tx, first, first + 9)

    assert_invariants_hold_during(app, write)
