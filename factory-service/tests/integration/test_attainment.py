import random

import hypothesis
import pytest
from hypothesis import strategies

START = 1611194700


def recomputed(points, width):
    """As anybody would do it by hand."""
    buckets = {}
    for time, actual, goal in sorted(points):
        buckets.setdefault(time // width * width, []).append((actual, goal))
    found = []
    for start, values in sorted(buckets.items()):
        longest = run = 0
        for actual, goal in values:
            run = run + 1 if actual < goal else 0
            longest = max(longest, run)
        actual, goal = sum(a for a, _ in values), sum(g for _, g in values)
        missed = sum(a < g for a, g in values)
        found.append(
            {
                "time": start,
                "actual": actual,
                "goal": goal,
                "ratio": actual / goal if goal else None,
                "missed": missed,
                "longest_miss": longest,
            }
        )
    return found


def factory_with(client, points):
    time, actual, goal = zip(*points, strict=True) if points else ([], [], [])
    chart = {"sprocket_production_actual": actual, "sprocket_production_goal": goal, "time": time}
    return client.post("/api/factories", json={"name": "X", "chart_data": chart}).json["id"]


def test_a_bucket_says_how_far_the_goal_was_attained(client):
    id_ = factory_with(client, [(0, 1, 2), (60, 3, 2), (120, 1, 2), (180, 0, 2), (300, 5, 0)])
    first = {"time": 0, "actual": 5, "goal": 8, "ratio": 0.625, "missed": 3, "longest_miss": 2}
    last = {"time": 300, "actual": 5, "goal": 0, "ratio": None, "missed": 0, "longest_miss": 0}
    assert client.get(f"/api/factory/{id_}/attainment").json == {"buckets": [first, last]}
    assert client.get(f"/api/factory/{id_}/attainment/?bucket=5m&from=300").json == {"buckets": [last]}


value = strategies.integers(-(2**31), 2**31)
some_points = strategies.lists(
    strategies.tuples(strategies.integers(0, 2000) | strategies.integers(0, 2**53), value, value),
    unique_by=lambda point: point[0],
    max_size=60,
)


@hypothesis.settings(max_examples=60)
@hypothesis.given(points=some_points, seconds=strategies.sampled_from(["1s", "7s", "1m", "5m", "1h", "366d"]))
def test_attainment_is_the_plain_recomputation(client, points, seconds):
    id_ = factory_with(client, points)
    width = int(seconds[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[seconds[-1]]
    assert client.get(f"/api/factory/{id_}/attainment?bucket={seconds}").json["buckets"] == recomputed(points, width)


def test_from_and_to_cut_what_is_counted(client):
    chosen = random.Random(5)
    points = [(START + n, chosen.randint(0, 40), chosen.randint(0, 40)) for n in range(500)]
    id_ = factory_with(client, points)
    first, last = START + 100, START + 399
    found = client.get(f"/api/factory/{id_}/attainment?bucket=1m&from={first}&to={last}").json["buckets"]
    assert found == recomputed([point for point in points if first <= point[0] <= last], 60)


@pytest.mark.parametrize("bucket", ["0s", "5", "m", "-5m", "5M", "1.5h", "367d", "999999999d", "", "٥m", " 5m"])
def test_what_is_no_width_is_refused(client, a_factory, bucket):
    answer = client.get(f"/api/factory/{a_factory(1)}/attainment", query_string={"bucket": bucket})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json["errors"]] == ["bucket"]
