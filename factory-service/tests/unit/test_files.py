import itertools
import json
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from chassis.errors import Invalid
from factory_service.domain.charts import points_of
from factory_service.domain.files import POINTS_AT_ONCE, parse_entries, read_charts

SAMPLES = Path(__file__).parents[2] / "samples"
# As the first release computed them.
DIGESTS = ["89e999421c62c904", "5ec1f7e700f37c3d", "597a8a187a6f981d"]


def in_pieces(raw, sizes):
    """Of these sizes in turn."""
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(raw):
            return
        yield raw[at : at + size]
        at += size


def charts_in(raw, sizes):
    """Of each factory its rows: time, actual, goal."""
    list(parse_entries(in_pieces(raw, sizes)))
    return [
        [row for points in batches for row in zip(points.time, points.actual, points.goal, strict=True)]
        for batches in read_charts(lambda: in_pieces(raw, sizes))
    ]


def digests_in(raw, sizes=(10**6,)):
    return [entry.digest for entry in parse_entries(in_pieces(raw, sizes))]


value = strategies.integers(-(2**31), 2**31)
chart = strategies.lists(strategies.tuples(strategies.integers(0, 2**53), value, value), max_size=5)
layouts = strategies.sampled_from([{"indent": 2}, {"separators": (",", ":")}, {"indent": "\t"}, {}])
sizes = strategies.lists(strategies.integers(1, 40), min_size=1, max_size=5)


def as_file(charts, order=(0, 1, 2)):
    names = ("time", "sprocket_production_actual", "sprocket_production_goal")
    entries = []
    for rows in charts:
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
        by_name = dict(zip(names, columns, strict=True))
        entries.append({"factory": {"chart_data": {names[place]: by_name[names[place]] for place in order}}})
    return {"factories": entries}


def sorted_points(rows):
    points = points_of(*(list(column) for column in zip(*rows, strict=True))) if rows else points_of([], [], [])
    return list(zip(points.time, points.actual, points.goal, strict=True))


@hypothesis.given(strategies.lists(chart, max_size=4), strategies.permutations(range(3)), layouts, sizes)
def test_a_file_is_read_in_whatever_pieces_it_comes(charts, order, layout, sizes):
    raw = json.dumps(as_file(charts, order), **layout).encode()
    assert charts_in(raw, sizes) == [sorted_points(rows) for rows in charts]


def test_charts_that_are_not_read_to_their_end_are_skipped():
    charts = [[(time, time, entry) for time in range(3 * POINTS_AT_ONCE)] for entry in range(3)]
    raw = json.dumps(as_file(charts, (1, 0, 2))).encode()
    first = [next(batches) for batches in read_charts(lambda: [raw])]
    assert [points.goal for points in first] == [[entry] * POINTS_AT_ONCE for entry in range(3)]


@hypothesis.given(strategies.lists(chart, max_size=3), strategies.permutations(range(3)), layouts, sizes)
def test_an_entry_is_known_by_its_content_and_not_by_how_it_is_written(charts, order, layout, sizes):
    plain = digests_in(json.dumps(as_file(charts)).encode())
    assert digests_in(json.dumps(as_file(charts, order), **layout).encode(), sizes) == plain
    different = {json.dumps(rows) for rows in charts}
    assert len(set(plain)) == len(different)


def test_digests_stay_what_they_are():
    """Those of what is loaded already are in the database."""
    rows = [(time, time % 7, 2**31 - time) for time in range(2 * POINTS_AT_ONCE + 5)]
    of_charts = digests_in(json.dumps(as_file([rows, []])).encode())
    (of_sprocket, *_) = digests_in((SAMPLES / "seed_sprocket_types.json").read_bytes())
    assert [digest.hex()[:16] for digest in (*of_charts, of_sprocket)] == DIGESTS


@hypothesis.example(b"", [1])
@hypothesis.example(b" ", [1])
@hypothesis.given(strategies.binary(max_size=200) | strategies.text(max_size=200).map(str.encode), sizes)
def test_what_is_no_such_file_is_refused(raw, sizes):
    with pytest.raises(Invalid):
        digests_in(raw, sizes)


@hypothesis.given(strategies.integers(0, 10**6), sizes)
def test_a_file_that_is_cut_is_refused(place, sizes):
    raw = json.dumps(as_file([[(1, 2, 3), (4, 5, 6)], []])).encode()
    with pytest.raises(Invalid):
        digests_in(raw[: place % len(raw)], sizes)


@pytest.mark.parametrize("value", [b"1" * 200_000, b'"' + b"x" * 200_000, b'"' + b" " * 200_000, b" " * 200_000])
def test_a_value_without_end_is_refused_before_it_is_in_memory(value):
    raw = b'{"factories": [{"factory": {"chart_data": {"time": [' + value
    pieces = in_pieces(raw, [10_000])
    with pytest.raises(Invalid, match=r"^factories\.0\.factory\.chart_data\.time\.0: "):
        list(parse_entries(pieces))
    assert len(b"".join(pieces)) > 100_000
