"""The figures of the last minutes, from the reports of several replicas."""

import pytest

from console_service.traffic import combine, quantile_ms

BOUNDS = [0.01, 0.1, 1]


def report(**counts):
    minutes = [{"time": int(time[1:]), "errors": 1, "counts": values} for time, values in counts.items()]
    return {"bounds_seconds": BOUNDS, "minutes": minutes}


def test_adds_the_minutes_of_all_replicas():
    traffic = combine([report(t0=[1, 0, 0, 0], t60=[0, 2, 0, 0]), report(t60=[0, 0, 3, 0], t120=[54, 0, 0, 0])])
    assert [(minute.time, minute.requests, minute.errors) for minute in traffic.minutes] == [
        (0, 1, 1), (60, 5, 2), (120, 54, 1),
    ]  # fmt: skip
    assert traffic.requests_per_second == pytest.approx(60 / 180)
    assert traffic.errors == 4
    assert traffic.latency_ms(0.5) == round(10 * 30 / 55, 3)
    assert traffic.latencies_ms(1) == pytest.approx([10, 1000, 10])


def test_minutes_without_requests_have_no_latency():
    traffic = combine([report(t0=[0, 0, 0, 0])])
    assert (traffic.requests_per_second, traffic.latency_ms(0.5), traffic.latencies_ms(0.5)) == (0, None, [0])
    assert combine([]).latency_ms(0.5) is None


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([4, 0, 0, 0], 0.5, 5),
        ([0, 4, 0, 0], 0.5, 55),
        ([1, 1, 2, 0], 0.5, 100),
        ([1, 1, 2, 0], 0.75, 550),
        ([0, 0, 0, 5], 0.5, 1000),
    ],
)
def test_quantile_is_interpolated_within_its_range(counts, share, expected):
    assert quantile_ms(BOUNDS, counts, share) == pytest.approx(expected)
