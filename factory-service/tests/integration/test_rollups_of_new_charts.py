"""The roll-ups of a large new chart are built by a timer, because other clients wait while a factory is created."""

import random
from datetime import UTC, datetime

import pytest

from factory_service import handlers
from factory_service.domain.charts import Points
from factory_service.store import factories, rollups

TIME, DAY, COUNT = 1611194818, 86400, 3000
PATHS = ["chart-data?points=50", "attainment?bucket=1d", "attainment?bucket=7d&tz=Europe/Berlin"]


def value(n):
    return n * 7 % 91


@pytest.fixture
def large_chart(client):
    """A factory with more points than a request rolls up, five hours apart."""
    numbers = range(COUNT)
    chart = {
        "sprocket_production_actual": [value(n) for n in numbers],
        "sprocket_production_goal": [45] * COUNT,
        "time": [TIME + n * 18_000 for n in numbers],
    }
    response = client.post("/api/factories", json={"name": "Large", "chart_data": chart})
    assert response.status_code == 201, response.text
    return response.json["id"]


@pytest.fixture
def build_next(db):
    """Return a function that builds the roll-ups of at least `limit` points, and returns whether there were any."""

    def build(limit):
        with db.transaction() as tx:
            return rollups.build_next(tx, limit) is not None

    return build


def read(app, id_):
    responses = [app.test_client().get(f"/api/factory/{id_}/{path}") for path in PATHS]
    assert {response.status_code for response in responses} == {200}
    return [response.json for response in responses]


def count_rollups(db, id_, condition="true"):
    with db.transaction() as tx:
        return tx.value(f"SELECT count(*) FROM rollups WHERE factory_id = %(id)s AND {condition}", id=id_)


def assert_invariants(client):
    report = client.get("/invariants").json
    assert report["status"] == "OK", report


def test_large_new_chart_is_read_from_points_until_the_timer_has_built_its_rollups(
    client, db, app_without_redis, large_chart, settings
):
    before = read(app_without_redis, large_chart)
    assert count_rollups(db, large_chart) == 0
    for _ in range(2):
        with db.transaction() as tx:
            handlers.timers(settings)["roll-ups"].run(tx, datetime.now(UTC))
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM incomplete_rollups") == 0
    assert count_rollups(db, large_chart, "width = 900") == COUNT
    assert_invariants(client)
    assert read(app_without_redis, large_chart) == before


def test_statements_of_the_trigger_are_not_compiled(db):
    """Their estimated cost, unlike their duration, grows with the number of points of all factories."""
    with db.transaction() as tx:
        assert "jit=off" in tx.value("SELECT proconfig FROM pg_proc WHERE oid = 'roll_up_points'::regproc")


def test_points_written_while_rollups_are_built_are_rolled_up_once_they_are_complete(
    client, db, app_without_redis, large_chart, build_next
):
    rng, sent = random.Random(5), 1
    while build_next(500):
        sent += 1
        # Before and after the time until which the roll-ups are complete; new points and others.
        times = sorted({TIME + rng.randrange(COUNT) * 9000 for _ in range(40)})
        with db.transaction() as tx:
            factories.lock_factory(tx, large_chart)
            points = Points(times, [sent] * len(times), [45] * len(times))
            factories.add_to_point_count(tx, large_chart, factories.insert_points(tx, large_chart, points, sent))
            next_time = tx.value("SELECT coalesce(max(next_time), %(max)s) FROM incomplete_rollups", max=2**53)
            assert not tx.rows("SELECT FROM rollups WHERE start >= %(time)s", time=next_time)
        assert_invariants(client)
    assert sent > 5
    assert_invariants(client)
    with_rollups = read(app_without_redis, large_chart)
    with db.transaction() as tx:
        rollups.insert_incomplete(tx, large_chart)
    assert read(app_without_redis, large_chart) == with_rollups


def test_factory_deleted_before_its_rollups_are_complete_leaves_nothing(client, db, large_chart, build_next):
    build_next(1000)
    with db.transaction() as tx:
        rollups.insert_incomplete(tx, large_chart)
    assert 0 < count_rollups(db, large_chart, "width = 900") < COUNT
    assert client.delete(f"/api/factory/{large_chart}").status_code == 204
    with db.transaction() as tx:
        while factories.delete_points_of_deleted_factory(tx, 700) is not None:
            pass
        for table in ("points", "rollups", "incomplete_rollups"):
            assert tx.value(f"SELECT count(*) FROM {table}") == 0
    assert not build_next(1)
