"""Roll-ups equal the points regardless of who writes them and in what order, and make long series cheap to read."""

import concurrent.futures
import os
import random
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest

from chassis.timestamps import load_timezone
from factory_service import handlers
from factory_service.domain.charts import Points
from factory_service.handlers import rebuild_rollups
from factory_service.operations import charts
from factory_service.store import factories, rollups

TIME = 1611194818
WIDTHS = (900, 3600, 86400, 604800)
DAY = 86400


def recompute(points):
    """Compute the roll-ups of all widths from the points alone."""
    rows = []
    for width in WIDTHS:
        groups = {}
        for time, actual, goal in sorted(points):
            groups.setdefault(time - (time + 259200) % width, []).append((time, actual, goal))
        rows += [(width, start, *roll_up(start, group)) for start, group in groups.items()]
    return sorted(rows)


def roll_up(start, group):
    runs = "".join("m" if actual < goal else " " for _, actual, goal in group)
    totals = (len(group), sum(actual for _, actual, _ in group), sum(goal for _, _, goal in group), runs.count("m"))
    misses = (len(runs) - len(runs.lstrip("m")), len(runs) - len(runs.rstrip("m")), max(map(len, runs.split(" "))))
    extremes = []
    for series in (1, 2):
        lowest, highest = (choose(group, key=lambda point: point[series]) for choose in (min, max))
        extremes += [
            (lowest[series] << 20) + lowest[0] - start,
            (highest[series] << 20) + 2**20 - 1 - highest[0] + start,
        ]
    return (*totals, *misses, *extremes)


def stored_points(tx, id_):
    return tx.rows("SELECT time, actual, goal FROM points WHERE factory_id = %(id)s ORDER BY time", id=id_)


def stored_rollups(tx, id_):
    return tx.rows(
        """
        SELECT width, start, points, actual, goal, missed, leading_misses, trailing_misses, longest_miss,
               min_actual, max_actual, min_goal, max_goal
        FROM rollups WHERE factory_id = %(id)s ORDER BY width, start
        """,
        id=id_,
    )


def assert_rollups_equal_points(db, id_):
    with db.transaction() as tx:
        points = stored_points(tx, id_)
        assert stored_rollups(tx, id_) == recompute(points)
    return points


def write(db, id_, points, sent):
    """Store points as a worker does."""
    time, actual, goal = (list(column) for column in zip(*sorted(points), strict=True))
    with db.transaction() as tx:
        factories.lock_factory(tx, id_)
        new = factories.insert_points(tx, id_, Points(time, actual, goal), sent)
        factories.add_to_point_count(tx, id_, new)


def random_points(rng, count, spread):
    times = {TIME + rng.randrange(spread) for _ in range(count)}
    return [(time, rng.randint(-3, 3), rng.randint(-3, 3)) for time in times]


def invariants(client):
    return {check["name"]: check["status"] for check in client.get("/invariants").json["checks"]}


@pytest.mark.parametrize("spread", [500, 20_000, 30 * DAY])
def test_rollups_equal_points_after_each_write_and_overwrite(client, db, a_factory, spread):
    rng, id_ = random.Random(spread), a_factory(20)
    for sent in range(1, 12):
        # Some batches are late: of two values for one time, the greater number wins.
        write(db, id_, random_points(rng, rng.choice((1, 5, 300)), spread), sent % 5 + 1)
        assert_rollups_equal_points(db, id_)


def test_rollups_follow_deleted_points(db, a_factory):
    id_, rng = a_factory(0), random.Random(1)
    write(db, id_, random_points(rng, 500, 20 * DAY), 1)
    for limit in (TIME + 900, TIME + 5 * DAY, TIME + 30 * DAY):
        with db.transaction() as tx:
            deleted = tx.run("DELETE FROM points WHERE factory_id = %(id)s AND time < %(limit)s", id=id_, limit=limit)
            factories.add_to_point_count(tx, id_, -deleted)
        points = assert_rollups_equal_points(db, id_)
    assert points == []


def test_rollups_of_a_deleted_factory_are_deleted_with_its_points(client, db, a_factory):
    id_, kept = a_factory(500), a_factory(20)
    assert client.delete(f"/api/factory/{id_}").status_code == 204
    with db.transaction() as tx:
        while factories.delete_points_of_deleted_factory(tx, 100) is not None:
            assert stored_rollups(tx, id_) == recompute(stored_points(tx, id_))
        assert tx.rows("SELECT DISTINCT factory_id FROM rollups") == [(kept,)]


def test_writers_without_a_lock_of_their_own_wait_for_each_other(db, a_factory):
    id_, barrier = a_factory(0), threading.Barrier(2)

    def insert_first():
        with db.transaction() as tx:
            tx.run("INSERT INTO points VALUES (%(id)s, %(time)s, 5, 100, 1)", id=id_, time=TIME)
            barrier.wait(30)

    def insert_second():
        barrier.wait(30)
        with db.transaction() as tx:
            tx.run("INSERT INTO points VALUES (%(id)s, %(time)s, 7, 100, 1)", id=id_, time=TIME + 1)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(insert_first), pool.submit(insert_second)]:
            future.result(60)
    assert len(assert_rollups_equal_points(db, id_)) == 2
    with db.transaction() as tx:
        factories.add_to_point_count(tx, id_, 2)


def test_reads_are_the_same_with_and_without_rollups(db, client, a_factory):
    id_, rng = a_factory(0), random.Random(4)
    write(db, id_, random_points(rng, 3000, 40 * DAY), 1)
    first, last = TIME + 12_345, TIME + 39 * DAY

    def read(tx):
        zone = load_timezone("Europe/Berlin")
        return [
            *(charts.find_downsampled(tx, "/chart-data", id_, first, last, points) for points in (6, 20, 200)),
            *(charts.find_attainment(tx, id_, first, last, width, zone) for width in (900, 7200, DAY, 7 * DAY)),
        ]

    with db.transaction() as tx:
        with_rollups = read(tx)
        assert rollups.insert_incomplete(tx, id_) == 1
        tx.run("DELETE FROM rollups")
        assert read(tx) == with_rollups


def damage(db, id_):
    with db.transaction() as tx:
        tx.run("UPDATE rollups SET actual = actual + 1 WHERE factory_id = %(id)s AND width = 3600", id=id_)
        tx.run("DELETE FROM rollups WHERE factory_id = %(id)s AND width = 86400", id=id_)
        for start in (-259200, TIME - TIME % 900 - 10 * 900, 2**40):
            tx.run(
                """
                INSERT INTO rollups SELECT factory_id, width, %(start)s, points, actual, goal, missed, leading_misses,
                    trailing_misses, longest_miss, min_actual, max_actual, min_goal, max_goal
                FROM rollups WHERE factory_id = %(id)s AND width IN (900, 604800) ORDER BY width LIMIT 1
                """,
                id=id_,
                start=start,
            )


def test_command_rebuilds_damaged_rollups(client, db, settings, a_factory):
    id_, other = a_factory(500), a_factory(20)
    name = "roll-ups equal the points"
    assert invariants(client)[name] == "OK"
    damage(db, id_)
    assert invariants(client)[name] == "BROKEN"
    rebuild_rollups(settings, [str(other)])
    assert invariants(client)[name] == "BROKEN"
    rebuild_rollups(settings, [])
    assert invariants(client)[name] == "OK"
    assert_rollups_equal_points(db, id_)


def test_command_rebuilds_a_week_with_a_rollup_of_a_later_day_without_points(db, settings, a_factory):
    id_, monday = a_factory(0), TIME - (TIME + 259200) % WIDTHS[-1]
    write(db, id_, [(monday, 5, 100)], 1)
    with db.transaction() as tx:
        tx.run(
            """
            INSERT INTO rollups SELECT factory_id, width, start + 2 * width, points, actual, goal, missed,
                leading_misses, trailing_misses, longest_miss, min_actual, max_actual, min_goal, max_goal
            FROM rollups WHERE factory_id = %(id)s AND width = 86400
            """,
            id=id_,
        )
    rebuild_rollups(settings, [str(id_)])
    assert_rollups_equal_points(db, id_)


@pytest.mark.parametrize("column", ["points", "goal", "missed", "longest_miss", "leading_misses", "max_goal"])
@pytest.mark.parametrize("width", [900, 86400])
def test_invariant_detects_each_wrong_value(client, db, a_factory, column, width):
    a_factory(100)
    with db.transaction() as tx:
        tx.run(f"UPDATE rollups SET {column} = {column} + 1 WHERE width = {width}")
    assert invariants(client)["roll-ups equal the points"] == "BROKEN"
    with db.transaction() as tx:
        tx.run("DELETE FROM rollups")
        tx.run("DELETE FROM points")
        tx.run("UPDATE factories SET points = 0")


@pytest.mark.parametrize("arguments", [["7"], ["x"], ["0"], ["1", "2"], ["-1"], [str(2**63)]])
def test_command_rejects_what_is_not_a_factory(settings, db, arguments):
    with pytest.raises(SystemExit, match=r"does not exist|accepts at most one argument"):
        rebuild_rollups(settings, arguments)


def test_killed_command_is_continued_by_the_timer(client, db, settings, a_factory, insert_series, eventually):
    id_ = a_factory(0)
    insert_series(id_, 60_000, 60)
    damage(db, id_)
    command = [sys.executable, "-m", "factory_service", "rebuild-rollups", str(id_)]
    process = subprocess.Popen(command, env={**os.environ, "DATABASE_URL": settings.database_url})

    def has_begun():
        with db.transaction() as tx:
            next_time = tx.value("SELECT max(next_time) FROM incomplete_rollups")
        return (next_time is not None and next_time > 0) or process.poll() is not None

    try:
        eventually(has_begun, 60)
        assert process.poll() in (None, 0)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with db.transaction() as tx:
        while rollups.build_next(tx, 20_000):
            pass
    assert_rollups_equal_points(db, id_)


def test_rollups_are_built_while_writers_run(client, db, settings, a_factory):
    id_, rng = a_factory(0), random.Random(9)
    write(db, id_, random_points(rng, 3000, 40 * DAY), 1)
    damage(db, id_)
    with db.transaction() as tx:
        rollups.insert_incomplete(tx, id_)
    stop = threading.Event()

    def write_until_stopped():
        sent = 2
        while not stop.is_set():
            write(db, id_, random_points(random.Random(sent), 20, 41 * DAY), sent)
            sent += 1

    build = handlers.timers(settings)["roll-ups"].run
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write_until_stopped)
        try:
            for _ in range(1000):
                with db.transaction() as tx:
                    if rollups.build_next(tx, 100) is None:
                        break
        finally:
            stop.set()
        writer.result(60)
    with db.transaction() as tx:
        build(tx, datetime.now(UTC))
        assert tx.value("SELECT count(*) FROM incomplete_rollups") == 0
    assert_rollups_equal_points(db, id_)
