"""Damaged tables are reported, whether a request verifies them or the worker in several steps."""

import itertools

import pytest

from chassis.db import invariant_runs
from factory_service.store import factories
from factory_service.store.invariants import INVARIANTS
from quintet_testing.invariants import (
    advance_invariants,
    assert_invariants_hold_during,
    broken_checks,
    recompute_invariants,
)

ITEMS_PER_STEP, MANY = 300, 1000
POINT_COUNTS = "point_count of every factory equals its points"

POINT_OWNERS = "every point belongs to a factory"
POINT_RANGES = "every point is within the allowed range"
ROLLUPS = "roll-ups equal the points"
ROLLED_UP_POINTS = "every point is in a roll-up"


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    monkeypatch.setattr(invariant_runs, "_ITEMS_PER_STEP", ITEMS_PER_STEP)


def insert_factories(tx, *sizes):
    """Insert factories 1, 2, 3 … with this many points."""
    for id_, size in enumerate(sizes, 1):
        tx.run("INSERT INTO factories (id, name, points) VALUES (%(id)s, 'F', %(size)s)", id=id_, size=size)
        insert_points(tx, id_, 1, size)
    tx.run("UPDATE collections SET last_id = %(last)s", last=len(sizes))
    tx.run("INSERT INTO sprockets VALUES (1, 1, 1, 1, 1)")
    tx.run("INSERT INTO loaded VALUES ('a', 0, 'factories', 1), ('b', 0, 'sprockets', 1)")


def insert_points(tx, factory, first, last):
    tx.run(
        "INSERT INTO points SELECT %(id)s, time, 1, 1, 1 FROM generate_series(%(first)s, %(last)s) AS time",
        id=factory,
        first=first,
        last=last,
    )


@pytest.mark.parametrize("sizes", [(5, 3, 0, 1), (3, MANY, 0, 2)], ids=["few", "many"])
@pytest.mark.parametrize(
    ("sql", "broken"),
    [
        ("SELECT 1", set()),
        ("UPDATE factories SET points = points + 1 WHERE id = 1", {POINT_COUNTS}),
        ("UPDATE factories SET points = points - 1 WHERE id = 2", {POINT_COUNTS}),
        ("UPDATE factories SET points = 1 WHERE id = 3", {POINT_COUNTS}),
        ("DELETE FROM points WHERE factory_id = 2 AND time = 2", {POINT_COUNTS}),
        ("DELETE FROM points WHERE factory_id = 4 AND time = 1", {POINT_COUNTS}),
        ("UPDATE points SET factory_id = 9 WHERE factory_id = 4 AND time = 1", {POINT_COUNTS, POINT_OWNERS, ROLLUPS}),
        ("UPDATE points SET time = -1 WHERE factory_id = 2 AND time = 1", {POINT_RANGES}),
        ("UPDATE points SET goal = 2147483649 WHERE factory_id = 4 AND time = 1", {POINT_RANGES}),
        ("UPDATE rollups SET goal = goal + 1 WHERE factory_id = 4 AND width = 900", {ROLLUPS}),
        ("UPDATE rollups SET points = points + 1 WHERE factory_id = 4 AND width = 604800", {ROLLUPS}),
        ("UPDATE rollups SET start = start + 900 WHERE factory_id = 4 AND width = 900", {ROLLUPS, ROLLED_UP_POINTS}),
        ("DELETE FROM rollups WHERE factory_id = 2 AND width = 900", {ROLLUPS, ROLLED_UP_POINTS}),
        ("DELETE FROM rollups WHERE factory_id = 4 AND width = 604800", {ROLLUPS}),
        ("DELETE FROM rollups WHERE factory_id = 4", {ROLLED_UP_POINTS}),
        ("DELETE FROM sprockets", {"every loaded entry has its factory or sprocket"}),
        ("UPDATE collections SET last_id = 3 WHERE name = 'factories'", {"no ID is greater than the last issued ID"}),
    ],
)
def test_damage_is_reported(app, db, sizes, sql, broken):
    with db.transaction() as tx:
        insert_factories(tx, *sizes)
        tx.run(sql)
    advance_invariants(app)
    report = app.test_client().get("/invariants").json
    assert (report["status"], broken_checks(report["checks"])) == ("BROKEN" if broken else "OK", broken)
    full = recompute_invariants(app)
    assert (full["status"], broken_checks(full["checks"])) == ("FAILURE" if broken else "SUCCESS", broken)


@pytest.mark.parametrize("table", ["incomplete_rollups (factory_id)", "gone_factories (id)"])
def test_rollups_that_are_built_or_deleted_are_not_reported(app, db, table):
    with db.transaction() as tx:
        insert_factories(tx, 5, MANY)
        tx.run("DELETE FROM rollups WHERE factory_id = 2 AND width IN (900, 3600)")
        tx.run(f"INSERT INTO {table} VALUES (2)")
    full = recompute_invariants(app)
    assert full["status"] == "SUCCESS", full


def add_points(tx, factory, first, last):
    insert_points(tx, factory, first, last)
    tx.run("UPDATE factories SET points = points + %(n)s WHERE id = %(id)s", n=last - first + 1, id=factory)


def test_points_written_during_the_count_are_not_reported_as_a_difference(db):
    with db.transaction() as tx:
        insert_factories(tx, 10, 1000, 10)
    mark = None
    for number in range(10):
        with db.transaction() as tx:
            step = INVARIANTS[POINT_COUNTS].step(tx, mark, 200)
        assert step.violation is None
        if step.is_done:
            break
        mark = step.mark
        with db.transaction() as tx:
            # Before and after the mark.
            add_points(tx, 2, -10 * number - 9, -10 * number)
            add_points(tx, 2, 2000 + 10 * number, 2009 + 10 * number)
            add_points(tx, 1, 2000 + number, 2000 + number)
    assert step.is_done and number > 4


def test_production_and_deletions_during_full_runs_are_never_reported(app, db, monkeypatch):
    with db.transaction() as tx:
        insert_factories(tx, 100, MANY, 100)
    times, ids = itertools.count(2 * MANY, 100), itertools.count(4)

    def write(number):
        return add() if number == 0 else create_and_delete(next(ids))

    def add():
        time = next(times)
        with db.transaction() as tx:
            for factory in (1, 2, 3):
                add_points(tx, factory, time, time)

    def create_and_delete(id_):
        with db.transaction() as tx:
            tx.run("UPDATE collections SET last_id = %(id)s WHERE name = 'factories'", id=id_)
            tx.run("INSERT INTO factories (id, name, points) VALUES (%(id)s, 'F', 2000)", id=id_)
            insert_points(tx, id_, 1, 2000)
        with db.transaction() as tx:
            factories.delete_factory(tx, id_)
        for _ in range(3):
            with db.transaction() as tx:
                factories.delete_points_of_deleted_factory(tx, 1000)

    monkeypatch.setattr(invariant_runs, "_ITEMS_PER_STEP", 3000)
    assert_invariants_hold_during(app, write, writer_count=2)
