"""Damaged tables are reported, whether a request verifies them or the worker in several steps."""

import itertools

import pytest

from chassis.db import invariant_runs
from chassis.db.invariants import Step
from orders_service.store import orders
from orders_service.store.invariants import INVARIANTS
from quintet_testing.invariants import (
    advance_invariants,
    assert_invariants_hold_during,
    broken_checks,
    recompute_invariants,
)

ITEMS_PER_STEP, MANY = 300, 1000
TOTAL = "the stored orders are those that the imports created and that were not deleted"
EACH = "each import still has the orders that it created, unless they were deleted"
COUNTS = "the counts by state equal those of the orders"
INSERT_ORDERS = """
    INSERT INTO orders (id, birthday, failed, name, email, state, zipcode, import_number)
    SELECT id, '1963-02-27', 0, 'Ann', 'ann@example.com',
           CASE abs(id) %% 3 WHEN 0 THEN 'tx' WHEN 1 THEN 'TX' ELSE 'Ohio' END, '1', %(import)s
    FROM generate_series(%(first)s, %(last)s) AS id
"""
INSERT_COUNTS = """
    INSERT INTO order_counts (state, valid, orders)
    SELECT CASE WHEN abs(id) %% 3 < 2 THEN 'TX' ELSE '' END, true, count(*)
    FROM generate_series(%(first)s, %(last)s) AS id GROUP BY 1
"""
INSERT_IMPORT = """
    INSERT INTO imports (id, username, request_id, file_name, dry_run, status, uploaded_at, total, valid, created,
                         blocks, next_block, batch_no)
    VALUES (gen_random_uuid(), 'ann', 'r', 'f', false, 'SUCCESS', now(), %(size)s, %(size)s, %(size)s, 0, 0, 1)
    RETURNING number
"""


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    monkeypatch.setattr(invariant_runs, "_ITEMS_PER_STEP", ITEMS_PER_STEP)


def insert_imported(tx, first, last):
    number = tx.value(INSERT_IMPORT, size=last - first + 1)
    tx.run(INSERT_ORDERS, first=first, last=last, **{"import": number})
    tx.run(INSERT_COUNTS, first=first, last=last)


@pytest.mark.parametrize("count", [10, MANY])
@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("SELECT 1", set()),
        ("UPDATE orders SET state = 'CA' WHERE id = 3", {COUNTS}),
        ("UPDATE orders SET failed = 1 WHERE id = 7", {COUNTS}),
        ("DELETE FROM orders WHERE id = 10", {COUNTS, EACH}),
        ("UPDATE orders SET import_number = import_number + 1 WHERE id = 10", {EACH}),
        ("UPDATE orders SET import_number = NULL WHERE id = 10", {EACH}),
        ("UPDATE imports SET created = created + 1", {EACH}),
        ("UPDATE imports SET undo_status = 'SUCCESS'", {EACH}),
        ("UPDATE imports SET undo_deleted = 1", {TOTAL, EACH}),
        ("INSERT INTO order_deletions SELECT number, 1 FROM imports", {TOTAL, EACH}),
        ("UPDATE imports SET updated = total + 1", {TOTAL, "a finished import has counted each row once"}),
        ("DELETE FROM order_counts", {COUNTS, TOTAL}),
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


@pytest.mark.parametrize(
    ("sql", "name"), [("UPDATE orders SET failed = 1 WHERE id = 7", COUNTS), ("DELETE FROM orders WHERE id = 7", EACH)]
)
@pytest.mark.parametrize("is_changed", [True, False])
def test_difference_in_a_large_table_is_reported_unless_orders_were_changed(
    app, db, monkeypatch, sql, name, is_changed
):
    monkeypatch.setattr("orders_service.store.invariants._MAX_CONFIRMED_BLOCKS", 0)
    with db.transaction() as tx:
        insert_imported(tx, 1, MANY)
        tx.run(sql)
    step, numbers = Step(None, None, is_done=False), itertools.count(MANY + 1)
    while not step.is_done:
        with db.transaction() as tx:
            step = INVARIANTS[name].step(tx, step.mark, ITEMS_PER_STEP)
            if is_changed:
                number = next(numbers)
                insert_imported(tx, number, number)
    assert bool(step.violation) is not is_changed


@pytest.mark.parametrize("name", [COUNTS, EACH])
def test_orders_written_during_the_count_are_not_reported_as_a_difference(db, name):
    with db.transaction() as tx:
        # Without the blocks of earlier tests.
        tx.run("TRUNCATE orders")
        insert_imported(tx, 1, MANY)
    step = Step(None, None, is_done=False)
    numbers = iter(range(30))
    while not step.is_done:
        number = next(numbers)
        with db.transaction() as tx:
            step = INVARIANTS[name].step(tx, step.mark, 100)
        assert step.violation is None
        with db.transaction() as tx:
            insert_imported(tx, 2000 + 10 * number, 2009 + 10 * number)
            # Changed rows move from counted blocks to others, and back.
            tx.run("UPDATE orders SET state = 'CA' WHERE id = %(id)s", id=number * 3 + 1)
            tx.run("INSERT INTO order_counts (state, valid, orders) VALUES ('TX', true, -1), ('CA', true, 1)")
    assert number > 3


def test_imports_and_deletions_during_full_runs_are_never_reported(app, db):
    with db.transaction() as tx:
        insert_imported(tx, 1, MANY)
    firsts = itertools.count(MANY + 1, 10)

    def write(_):
        with db.transaction() as tx:
            first = next(firsts)
            insert_imported(tx, first, first + 9)
        with db.transaction() as tx:
            # No order is deleted twice, regardless of the number of writes.
            orders.insert_counts(tx, [orders.delete_order(tx, first), orders.delete_order(tx, first - MANY + 5)])

    assert_invariants_hold_during(app, write)
