import math
import random

import pytest

SERIES = ("sprocket_production_actual", "sprocket_production_goal", "time")


@pytest.fixture
def long_chart(client, db):
    """100,000 points: a wave with a few spikes of one point each, which no average would show."""
    chosen = random.Random(7)
    client.post("/api/factories", json={"name": "Long"})
    actual = [round(1000 * math.sin(n / 7000)) + chosen.randint(-20, 20) for n in range(100_000)]
    goal = [round(800 * math.cos(n / 9000)) for n in range(100_000)]
    for place, spike in ((123, 90_000), (51_234, -80_000), (99_998, 70_000)):
        actual[place] = spike
    goal[77_777] = 123_456
    time = [1611194818 + 60 * n for n in range(100_000)]
    as_array = ["{" + ",".join(map(str, values)) + "}" for values in (time, actual, goal)]
    with db.transaction() as tx:
        tx.run(
            "INSERT INTO points SELECT 1, t, a, g, 1 FROM unnest(%(t)s::bigint[], %(a)s::bigint[], %(g)s::bigint[])"
            " AS p (t, a, g)",
            **dict(zip("tag", as_array, strict=True)),
        )
        tx.run("UPDATE factories SET points = 100000, version = version + 1")
    return time, actual, goal


def test_a_thinned_chart_keeps_extremes_and_shape(client, long_chart, redis):
    redis.client().flushall()
    time, actual, goal = long_chart
    known = {moment: (a, g) for moment, a, g in zip(time, actual, goal, strict=True)}
    thinned = client.get("/api/factory/1/chart-data?points=200").json["chart_data"]
    times = thinned["time"]
    assert 150 <= len(times) <= 200
    assert times == sorted(set(times))
    kept = dict(zip(times, zip(thinned[SERIES[0]], thinned[SERIES[1]], strict=True), strict=True))
    assert kept.items() <= known.items()
    assert (times[0], times[-1]) == (time[0], time[-1])
    for series, values in zip(SERIES, (actual, goal), strict=False):
        assert (max(thinned[series]), min(thinned[series])) == (max(values), min(values))
    assert {90_000, -80_000, 70_000} <= set(thinned[SERIES[0]])
    # In each of so many stretches of time what is kept spans what was there.
    width = (time[-1] - time[0] + 1) / 49
    for stretch in range(49):
        low, high = time[0] + stretch * width, time[0] + (stretch + 1) * width
        there = [known[moment][0] for moment in time if low + 60 < moment < high - 60]
        here = [kept[moment][0] for moment in times if low - 60 <= moment <= high + 60]
        assert min(here) <= min(there) and max(here) >= max(there)


@pytest.mark.parametrize("points", [6, 7, 10, 199, 1000])
def test_there_are_never_more_than_asked_for(client, long_chart, points):
    _, actual, goal = long_chart
    thinned = client.get(f"/api/factory/1/chart-data?points={points}").json["chart_data"]
    assert points / 2 < len(thinned["time"]) <= points
    assert (max(thinned[SERIES[0]]), min(thinned[SERIES[0]])) == (max(actual), min(actual))
    assert (max(thinned[SERIES[1]]), min(thinned[SERIES[1]])) == (max(goal), min(goal))


def test_a_short_chart_stays_whole(client, a_factory):
    id_ = a_factory(20)
    whole = client.get(f"/api/factory/{id_}/chart-data").json
    assert client.get(f"/api/factory/{id_}/chart-data?points=20").json == whole
    assert len(client.get(f"/api/factory/{id_}/time?points=19").json["time"]) <= 19


def test_a_thinned_cut_is_of_that_cut(client, long_chart):
    time, actual, _ = long_chart
    first, last = time[40_000], time[60_000]
    thinned = client.get(f"/api/factory/1/chart-data?from={first}&to={last}&points=50").json["chart_data"]
    assert (thinned["time"][0], thinned["time"][-1]) == (first, last)
    assert max(thinned[SERIES[0]]) == max(actual[40_000:60_001])
    part = client.get(f"/api/factory/1/production-actual?from={first}&to={last}&points=50").json
    assert part[SERIES[0]] == thinned[SERIES[0]]
