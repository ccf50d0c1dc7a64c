import random

import hypothesis
import pytest
from hypothesis import strategies

START = 1611194700


def recompute_attainment(points, width):
    """Compute the buckets with the simplest possible algorithm."""
    values_by_bucket = {}
    for time, actual, goal in sorted(points):
        values_by_bucket.setdefault(time // width * width, []).append((actual, goal))
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
                "ratio": actual / goal if goal else None,
                "missed": missed,
                "longest_miss": longest,
            }
        )
    return buckets


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
        strategies.integers(0, 2000) | strategies.integers(0, 2**53), production_values, production_values
    ),
    unique_by=lambda point: point[0],
    max_size=60,
)


@hypothesis.settings(max_examples=60)
@hypothesis.given(points=point_lists, bucket=strategies.sampled_from(["1s", "7s", "1m", "5m", "1h", "366d"]))
def test_attainment_of_any_chart_equals_simple_recomputation(client, points, bucket):
    id_ = create_factory(client, points)
    width = int(bucket[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[bucket[-1]]
    response = client.get(f"/api/factory/{id_}/attainment?bucket={bucket}")
    assert response.json["buckets"] == recompute_attainment(points, width)


def test_from_and_to_filter_points_inclusively(client):
    rng = random.Random(5)
    points = [(START + n, rng.randint(0, 40), rng.randint(0, 40)) for n in range(500)]
    id_ = create_factory(client, points)
    first, last = START + 100, START + 399
    response = client.get(f"/api/factory/{id_}/attainment?bucket=1m&from={first}&to={last}")
    assert response.json["buckets"] == recompute_attainment(
        [point for point in points if first <= point[0] <= last], 60
    )


@pytest.mark.parametrize("bucket", ["0s", "5", "m", "-5m", "5M", "1.5h", "367d", "999999999d", "", "٥m", " 5m"])
def test_rejects_invalid_bucket_width(client, a_factory, bucket):
    response = client.get(f"/api/factory/{a_factory(1)}/attainment", query_string={"bucket": bucket})
    assert response.status_code == 400
    assert [error["field"] for error in response.json["errors"]] == ["bucket"]
