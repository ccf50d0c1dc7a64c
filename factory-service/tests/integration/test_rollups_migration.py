"""Migration 0007 creates roll-ups; processes of the previous version continue to write points."""

import pytest

from factory_service import handlers
from factory_service.app import create_app

FIRST_NEW_MIGRATION = "0007"
TIME, DAY = 1611194818, 86400
PATHS = ["chart-data?points=20", "chart-data?points=6", "attainment?bucket=1d&tz=Europe/Berlin", "attainment?bucket=7d"]


def insert_points(database, id_, first, count, actual=1):
    """Store points with the statement of the previous version."""
    database.run(
        """
        INSERT INTO points AS existing (factory_id, time, actual, goal, sent)
        SELECT %(id)s, %(time)s + n * 700, n %% 91 * %(actual)s, 45, %(actual)s
        FROM generate_series(%(first)s, %(last)s - 1) AS n
        ON CONFLICT ON CONSTRAINT points_pkey DO UPDATE
        SET actual = excluded.actual, goal = excluded.goal, sent = excluded.sent WHERE existing.sent < excluded.sent
        """,
        id=id_,
        time=TIME,
        first=first,
        last=first + count,
        actual=actual,
    )
    database.run(
        """
        UPDATE factories SET version = version + 1, points = (SELECT count(*) FROM points WHERE factory_id = %(id)s)
        WHERE id = %(id)s
        """,
        id=id_,
    )


def insert_factory(database, id_):
    database.run("INSERT INTO factories (id, name) VALUES (%(id)s, 'X')", id=id_)
    database.run("UPDATE collections SET last_id = greatest(last_id, %(id)s) WHERE name = 'factories'", id=id_)


def read(app, id_):
    responses = [app.test_client().get(f"/api/factory/{id_}/{path}") for path in PATHS]
    return [response.json for response in responses if response.status_code == 200]


def run_timer(app):
    with app.database.transaction() as tx:
        handlers.timers(app.settings)["roll-ups"].run(tx, None)


def build_all(app, database):
    steps = 0
    while database.rows("SELECT FROM incomplete_rollups WHERE EXISTS (SELECT FROM factories WHERE id = factory_id)"):
        run_timer(app)
        steps += 1
    return steps


def assert_invariants(app):
    report = app.test_client().get("/invariants").json
    assert report["status"] == "OK", report


@pytest.fixture
def upgrade(old_database):
    """Return a function that migrates the old database and returns an app for it, without Redis."""

    def upgrade():
        old_database.upgrade()
        return create_app(old_database.settings.model_copy(update={"redis_url": None}))

    return upgrade


def test_points_stored_before_the_migration_are_read_before_and_after_they_are_rolled_up(old_database, upgrade):
    insert_factory(old_database, 1)
    insert_points(old_database, 1, 0, 30_000)
    app = upgrade()
    assert old_database.rows("SELECT count(*) FROM rollups") == [(0,)]
    before = read(app, 1)
    assert len(before) == len(PATHS)
    run_timer(app)
    assert old_database.rows("SELECT next_time > %(time)s FROM incomplete_rollups", time=TIME) == [(True,)]
    assert read(app, 1) == before
    assert_invariants(app)
    assert build_all(app, old_database) == 2
    assert read(app, 1) == before
    assert_invariants(app)


def test_points_that_the_previous_version_stores_after_the_migration_are_rolled_up(old_database, upgrade):
    insert_factory(old_database, 1)
    insert_points(old_database, 1, 0, 1000)
    app = upgrade()
    insert_points(old_database, 1, 500, 1000, actual=2)
    insert_factory(old_database, 2)
    insert_points(old_database, 2, 0, 500)
    expected = read(app, 1), read(app, 2)
    assert old_database.rows("SELECT factory_id FROM incomplete_rollups") == [(1,)]
    build_all(app, old_database)
    insert_points(old_database, 1, 0, 10, actual=2)
    insert_points(old_database, 1, 0, 10, actual=1)
    assert_invariants(app)
    assert read(app, 2) == expected[1]


def test_factory_that_is_being_loaded_during_the_migration_is_rolled_up_when_it_exists(old_database, upgrade):
    old_database.run(
        "INSERT INTO loads (id, status, factory_id) VALUES ('11111111-2222-3333-4444-555555555555', 'PROGRESS', 7)"
    )
    insert_points(old_database, 7, 0, 1000)
    app = upgrade()
    run_timer(app)
    insert_points(old_database, 7, 1000, 1000)
    insert_factory(old_database, 7)
    insert_points(old_database, 7, 2000, 1)
    before = read(app, 7)
    build_all(app, old_database)
    assert read(app, 7) == before
    assert_invariants(app)


def test_factory_that_is_deleted_before_it_is_rolled_up_leaves_nothing(old_database, upgrade):
    insert_factory(old_database, 1)
    insert_points(old_database, 1, 0, 1000)
    app = upgrade()
    assert app.test_client().delete("/api/factory/1").status_code == 204
    run_timer(app)
    with app.database.transaction() as tx:
        handlers.timers(app.settings)["points of deleted factories"].run(tx, None)
    for table in ("points", "rollups", "incomplete_rollups"):
        assert old_database.rows(f"SELECT count(*) FROM {table}") == [(0,)]
