import random
from datetime import datetime, timedelta

import hypothesis
import pytest
from hypothesis import strategies

from chassis.timestamps import load_timezone
from factory_service.store import rollups

START = 1611194700
HOUR, DAY, WEEK = 3600, 86400, 604800
SECONDS = {"s": 1, "m": 60, "h": HOUR, "d": DAY, "w": WEEK}
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "America/Sao_Paulo"]


def bucket_start(time, width, zone):
    """Return when the bucket begins, by the simplest possible rule; for widths and zones whose hours are whole."""
    local = datetime.fromtimestamp(time, zone)
    if width <= HOUR:
        offset = int(local.utcoffset().total_seconds())
        return time - (time + offset) % width
    hour = local.hour // (width // HOUR) * (width // HOUR) if width < DAY else 0
    monday = local.date().toordinal() - datetime(1969, 12, 29).toordinal()
    days = monday % (width // DAY) if width % WEEK == 0 else (monday - 3) % max(1, width // DAY)
    date = local.date() - timedelta(days=days)
    return int(datetime(date.year, date.month, date.day, hour, tzinfo=zone).timestamp())


def recompute_attainment(points, start_of):
    """Compute the buckets with the simplest possible algorithm."""
    values_by_bucket = {}
    for time, actual, goal in sorted(points):
        values_by_bucket.setdefault(start_of(time), []).append((actual, goal))
    buckets = []
    for start, values in sorted(values_by_bucket.items()):
        longest = run = 0
        for actual, goal in values:
            run = run + 1 if actual < goal else 0
            longest = max(longest, run)
        actual, goal = sum(a for a, _ in values), sum(g for _, g in values)
        missed = sum(a < g for a, g in values)
        buckets.append(
            {
                "time": start,
                "actual": actual,
                "goal": goal,
                "ratio": actual / goal if goal > 0 else None,
                "missed": missed,
                "longest_miss": longest,
            }
        )
    return buckets


def in_utc(width):
    anchor = 3 * DAY if width % WEEK == 0 else 0
    return lambda time: time - (time + anchor) % width


def create_factory(client, points):
    time, actual, goal = zip(*points, strict=True) if points else ([], [], [])
    chart = {"sprocket_production_actual": actual, "sprocket_production_goal": goal, "time": time}
    return client.post("/api/factories", json={"name": "X", "chart_data": chart}).json["id"]


def test_returns_sums_ratio_and_misses_per_bucket(client):
    id_ = create_factory(client, [(0, 1, 2), (60, 3, 2), (120, 1, 2), (180, 0, 2), (300, 5, 0)])
    first = {"time": 0, "actual": 5, "goal": 8, "ratio": 0.625, "missed": 3, "longest_miss": 2}
    last = {"time": 300, "actual": 5, "goal": 0, "ratio": None, "missed": 0, "longest_miss": 0}
    assert client.get(f"/api/factory/{id_}/attainment").json == {"buckets": [first, last]}
    assert client.get(f"/api/factory/{id_}/attainment/?bucket=5m&from=300").json == {"buckets": [last]}


production_values = strategies.integers(-(2**31), 2**31)
point_lists = strategies.lists(
    strategies.tuples(
        strategies.integers(0, 2000) | strategies.integers(0, 7258118400), production_values, production_values
    ),
    unique_by=lambda point: point[0],
    max_size=60,
)


@hypothesis.settings(max_examples=40)
@hypothesis.given(
    points=point_lists, bucket=strategies.sampled_from(["1s", "7s", "1m", "5m", "16m", "1h", "1d", "7d", "1w", "366d"])
)
def test_attainment_of_any_chart_equals_simple_recomputation(client, points, bucket):
    id_ = create_factory(client, points)
    width = int(bucket[:-1]) * SECONDS[bucket[-1]]
    response = client.get(f"/api/factory/{id_}/attainment?bucket={bucket}")
    assert response.json["buckets"] == recompute_attainment(points, in_utc(width))


@pytest.fixture
def long_series(client, db):
    """Points of three months with gaps, long runs of misses, and the last Sunday of March among them."""
    rng = random.Random(11)
    points, time = [], START + 20 * DAY
    while time < START + 110 * DAY:
        misses = rng.random() < 0.5
        for _ in range(rng.choice((1, 5, 60, 200))):
            goal = rng.randint(-20, 30)
            points.append((time, goal + (rng.randint(-9, -1) if misses else rng.randint(0, 9)), goal))
            time += rng.choice((1, 60, 900, 3000))
        time += rng.choice((0, 0, 3600, 100_000))
    id_ = create_factory(client, points)
    with db.transaction() as tx:
        while rollups.build_next(tx, len(points)):
            pass
    return id_, points


@pytest.mark.parametrize("bucket", ["5m", "15m", "1h", "2h", "6h", "1d", "3d", "7d", "1w", "28d"])
def test_long_series_in_local_time_equals_simple_recomputation(client, long_series, bucket):
    id_, points = long_series
    width = int(bucket[:-1]) * SECONDS[bucket[-1]]
    first, last = points[100][0] + 77, points[-100][0] - 77
    selected = [point for point in points if first <= point[0] <= last]
    for name in ZONES:
        zone = load_timezone(name)
        response = client.get(f"/api/factory/{id_}/attainment?bucket={bucket}&tz={name}&from={first}&to={last}")
        assert response.json["buckets"] == recompute_attainment(
            selected, lambda time, zone=zone: bucket_start(time, width, zone)
        )


def test_same_bucket_in_two_time_zones_is_cached_separately(client, a_factory):
    id_ = a_factory(20)
    times = {
        tz: client.get(f"/api/factory/{id_}/attainment?bucket=1d&tz={tz}").json["buckets"][0]["time"]
        for tz in ("UTC", "Europe/Berlin", "UTC")
    }
    assert times == {"UTC": 1611187200, "Europe/Berlin": 1611183600}


@pytest.mark.parametrize("tz", ["localtime", "posixrules", "Factory", "europe/berlin", "+01:00", "", "../UTC", "Mars"])
def test_rejects_unknown_time_zone(client, a_factory, tz):
    response = client.get(f"/api/factory/{a_factory(1)}/attainment", query_string={"tz": tz})
    assert response.status_code == 400
    assert [error["field"] for error in response.json["errors"]] == ["tz"]


@pytest.mark.parametrize("goals", [(0, 0), (5, -5), (-1, -2)])
def test_ratio_is_null_if_the_goal_is_not_positive(client, goals):
    id_ = create_factory(client, [(0, 7, goals[0]), (60, 7, goals[1])])
    (bucket,) = client.get(f"/api/factory/{id_}/attainment").json["buckets"]
    assert (bucket["goal"], bucket["ratio"]) == (sum(goals), None)


def test_from_and_to_filter_points_inclusively(client):
    rng = random.Random(5)
    points = [(START + n, rng.randint(0, 40), rng.randint(0, 40)) for n in range(500)]
    id_ = create_factory(client, points)
    first, last = START + 100, START + 399
    response = client.get(f"/api/factory/{id_}/attainment?bucket=1m&from={first}&to={last}")
    assert response.json["buckets"] == recompute_attainment(
        [point for point in points if first <= point[0] <= last], in_utc(60)
    )


@pytest.mark.parametrize("bucket", ["0s", "5", "m", "-5m", "5M", "1.5h", "367d", "999999999d", "", "٥m", " 5m"])
def test_rejects_invalid_bucket_width(client, a_factory, bucket):
    response = client.get(f"/api/factory/{a_factory(1)}/attainment", query_string={"bucket": bucket})
    assert response.status_code == 400
    assert [error["field"] for error in response.json["errors"]] == ["bucket"]
