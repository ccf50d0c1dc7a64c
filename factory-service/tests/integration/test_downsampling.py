import math
import random

import hypothesis
import pytest
from hypothesis import strategies

SERIES = ("sprocket_production_actual", "sprocket_production_goal", "time")


def downsample(points, limit):
    """Keep the points that the documentation states, by the simplest possible algorithm."""
    if len(points) <= limit:
        return points
    first, last, count = points[0][0], points[-1][0], (limit - 2) // 4
    min_width = math.ceil((last - first + 1) / count)
    unit = next((unit for unit in (604800, 86400, 3600, 900) if min_width >= 2 * unit), 1)
    origin = first - (first + 259200) % unit
    width = math.ceil((last - origin + 1) / (count * unit)) * unit
    intervals = {}
    for point in points:
        intervals.setdefault((point[0] - origin) // width, []).append(point)
    kept = {points[0], points[-1]}
    for interval in intervals.values():
        for series in (1, 2):
            kept |= {choose(interval, key=lambda point, series=series: point[series]) for choose in (min, max)}
    return sorted(kept)


def array_literal(values):
    return "{" + ",".join(map(str, values)) + "}"


@pytest.fixture
def long_chart(client, db):
    """100,000 points: a wave with a few spikes of one point each, which averaging would hide."""
    rng = random.Random(7)
    client.post("/api/factories", json={"name": "Long"})
    actual = [round(1000 * math.sin(n / 7000)) + rng.randint(-20, 20) for n in range(100_000)]
    goal = [round(800 * math.cos(n / 9000)) for n in range(100_000)]
    for index, spike in ((123, 90_000), (51_234, -80_000), (99_998, 70_000)):
        actual[index] = spike
    goal[77_777] = 123_456
    time = [1611194818 + 60 * n for n in range(100_000)]
    with db.transaction() as tx:
        tx.run(
            """
            INSERT INTO points SELECT 1, time, actual, goal, 1
            FROM unnest(%(time)s::bigint[], %(actual)s::bigint[], %(goal)s::bigint[]) AS p (time, actual, goal)
            """,
            time=array_literal(time),
            actual=array_literal(actual),
            goal=array_literal(goal),
        )
        tx.run("UPDATE factories SET points = 100000, version = version + 1")
    return time, actual, goal


def test_downsampled_chart_keeps_extremes_and_shape(client, long_chart, redis):
    redis.client().flushall()
    time, actual, goal = long_chart
    original = {moment: (a, g) for moment, a, g in zip(time, actual, goal, strict=True)}
    chart = client.get("/api/factory/1/chart-data?points=200").json["chart_data"]
    times = chart["time"]
    assert 150 <= len(times) <= 200
    assert times == sorted(set(times))
    kept = dict(zip(times, zip(chart[SERIES[0]], chart[SERIES[1]], strict=True), strict=True))
    assert kept.items() <= original.items()
    assert (times[0], times[-1]) == (time[0], time[-1])
    for series, values in zip(SERIES, (actual, goal), strict=False):
        assert (max(chart[series]), min(chart[series])) == (max(values), min(values))
    assert {90_000, -80_000, 70_000} <= set(chart[SERIES[0]])
    assert list(zip(times, chart[SERIES[0]], chart[SERIES[1]], strict=True)) == downsample(
        list(zip(time, actual, goal, strict=True)), 200
    )


@pytest.mark.parametrize("points", [6, 7, 10, 199, 1000])
def test_returns_at_most_the_requested_number_of_points(client, long_chart, points):
    _, actual, goal = long_chart
    chart = client.get(f"/api/factory/1/chart-data?points={points}").json["chart_data"]
    assert points / 2 < len(chart["time"]) <= points
    assert (max(chart[SERIES[0]]), min(chart[SERIES[0]])) == (max(actual), min(actual))
    assert (max(chart[SERIES[1]]), min(chart[SERIES[1]])) == (max(goal), min(goal))


def test_short_chart_is_not_downsampled(client, a_factory):
    id_ = a_factory(20)
    full_chart = client.get(f"/api/factory/{id_}/chart-data").json
    assert client.get(f"/api/factory/{id_}/chart-data?points=20").json == full_chart
    assert len(client.get(f"/api/factory/{id_}/time?points=19").json["time"]) <= 19


def test_downsamples_only_the_filtered_range(client, long_chart):
    time, actual, _ = long_chart
    first, last = time[40_000], time[60_000]
    chart = client.get(f"/api/factory/1/chart-data?from={first}&to={last}&points=50").json["chart_data"]
    assert (chart["time"][0], chart["time"][-1]) == (first, last)
    assert max(chart[SERIES[0]]) == max(actual[40_000:60_001])
    series = client.get(f"/api/factory/1/production-actual?from={first}&to={last}&points=50").json
    assert series[SERIES[0]] == chart[SERIES[0]]
    factory = client.get(f"/api/factory/1?from={first}&to={last}&points=50").json
    assert factory == {"id": 1, "name": "Long", "factory": {"chart_data": chart}}


value_lists = strategies.lists(
    strategies.tuples(
        # Gaps between points: dense, sparse, and very long.
        strategies.integers(1, 100) | strategies.integers(1, 10_000) | strategies.integers(1, 10_000_000),
        strategies.integers(-3, 3) | strategies.integers(-(2**31), 2**31),
        strategies.integers(-3, 3) | strategies.integers(-(2**31), 2**31),
    ),
    min_size=7,
    max_size=300,
)


@hypothesis.settings(max_examples=40)
@hypothesis.given(
    values=value_lists, start=strategies.integers(0, 2**31), limit=strategies.sampled_from([6, 7, 10, 50])
)
def test_downsampled_chart_of_any_series_equals_simple_recomputation(client, values, start, limit):
    points, time = [], start
    for gap, actual, goal in values:
        points.append((time, actual, goal))
        time += gap
    time, actual, goal = zip(*points, strict=True)
    chart = dict(zip(SERIES, (actual, goal, time), strict=True))
    id_ = client.post("/api/factories", json={"name": "X", "chart_data": chart}).json["id"]
    for first, last in ((points[0][0], points[-1][0]), (points[2][0] + 1, points[-2][0])):
        path = f"/api/factory/{id_}/chart-data?points={limit}&from={first}&to={last}"
        chart = client.get(path).json["chart_data"]
        expected = downsample([point for point in points if first <= point[0] <= last], limit)
        assert list(zip(chart["time"], chart[SERIES[0]], chart[SERIES[1]], strict=True)) == expected
