import itertools
import json
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from chassis.errors import Invalid
from factory_service.domain.charts import points_from_columns
from factory_service.domain.files import POINTS_PER_BATCH, parse_entries, read_charts

SAMPLES = Path(__file__).parents[2] / "samples"
# The first release computed digests with these prefixes.
DIGEST_PREFIXES = ["89e999421c62c904", "5ec1f7e700f37c3d", "597a8a187a6f981d"]


def split(raw, sizes):
    """Yield chunks whose sizes cycle through `sizes`."""
    offset = 0
    for size in itertools.cycle(sizes):
        if offset >= len(raw):
            return
        yield raw[offset : offset + size]
        offset += size


def parse_charts(raw, sizes):
    """Return the rows (time, actual, goal) of each factory."""
    list(parse_entries(split(raw, sizes)))
    return [
        [row for points in batches for row in zip(points.time, points.actual, points.goal, strict=True)]
        for batches in read_charts(lambda: split(raw, sizes))
    ]


def digests(raw, sizes=(10**6,)):
    return [entry.digest for entry in parse_entries(split(raw, sizes))]


production_values = strategies.integers(-(2**31), 2**31)
chart = strategies.lists(
    strategies.tuples(strategies.integers(0, 7258118400), production_values, production_values), max_size=5
)
layouts = strategies.sampled_from([{"indent": 2}, {"separators": (",", ":")}, {"indent": "\t"}, {}])
chunk_sizes = strategies.lists(strategies.integers(1, 40), min_size=1, max_size=5)


def load_file(charts, order=(0, 1, 2)):
    """Return a load file; `order` contains the indexes of time, actual and goal in the order of the file."""
    names = ("time", "sprocket_production_actual", "sprocket_production_goal")
    entries = []
    for rows in charts:
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
        by_name = dict(zip(names, columns, strict=True))
        entries.append({"factory": {"chart_data": {names[index]: by_name[names[index]] for index in order}}})
    return {"factories": entries}


def sorted_rows(rows):
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]
    points = points_from_columns(*columns)
    return list(zip(points.time, points.actual, points.goal, strict=True))


@hypothesis.given(strategies.lists(chart, max_size=4), strategies.permutations(range(3)), layouts, chunk_sizes)
def test_parses_file_in_chunks_of_any_size(charts, order, layout, sizes):
    raw = json.dumps(load_file(charts, order), **layout).encode()
    assert parse_charts(raw, sizes) == [sorted_rows(rows) for rows in charts]


def test_skips_the_rest_of_charts_that_are_not_read_completely():
    charts = [[(time, time, entry) for time in range(3 * POINTS_PER_BATCH)] for entry in range(3)]
    raw = json.dumps(load_file(charts, (1, 0, 2))).encode()
    first_batches = [next(batches) for batches in read_charts(lambda: [raw])]
    assert [points.goal for points in first_batches] == [[entry] * POINTS_PER_BATCH for entry in range(3)]


@hypothesis.given(strategies.lists(chart, max_size=3), strategies.permutations(range(3)), layouts, chunk_sizes)
def test_digest_depends_on_content_and_not_on_formatting(charts, order, layout, sizes):
    plain = digests(json.dumps(load_file(charts)).encode())
    assert digests(json.dumps(load_file(charts, order), **layout).encode(), sizes) == plain
    different = {json.dumps(rows) for rows in charts}
    assert len(set(plain)) == len(different)


def test_digests_are_stable_across_releases():
    """Digests are stored in the database; a different digest would load the same entry again."""
    rows = [(time, time % 7, 2**31 - time) for time in range(2 * POINTS_PER_BATCH + 5)]
    chart_digests = digests(json.dumps(load_file([rows, []])).encode())
    (sprocket_digest, *_) = digests((SAMPLES / "seed_sprocket_types.json").read_bytes())
    assert [digest.hex()[:16] for digest in (*chart_digests, sprocket_digest)] == DIGEST_PREFIXES


@hypothesis.example(b"", [1])
@hypothesis.example(b" ", [1])
@hypothesis.given(strategies.binary(max_size=200) | strategies.text(max_size=200).map(str.encode), chunk_sizes)
def test_rejects_arbitrary_content(raw, sizes):
    with pytest.raises(Invalid):
        digests(raw, sizes)


@hypothesis.given(strategies.integers(0, 10**6), chunk_sizes)
def test_rejects_truncated_file(length, sizes):
    raw = json.dumps(load_file([[(1, 2, 3), (4, 5, 6)], []])).encode()
    with pytest.raises(Invalid):
        digests(raw[: length % len(raw)], sizes)


@pytest.mark.parametrize(
    "value",
    [b"1" * 200_000, b'"' + b"x" * 200_000, b'"' + b" " * 200_000, b" " * 200_000],
    ids=["number", "string", "string of spaces", "spaces"],
)
def test_rejects_too_long_value_before_reading_all_of_it(value):
    raw = b'{"factories": [{"factory": {"chart_data": {"time": [' + value
    chunks = split(raw, [10_000])
    with pytest.raises(Invalid, match=r"^factories\.0\.factory\.chart_data\.time\.0: "):
        list(parse_entries(chunks))
    assert len(b"".join(chunks)) > 100_000
