import json

import hypothesis
import pytest
from hypothesis import strategies

from chassis.errors import Invalid
from factory_service.domain.files import PART, Entry, Part, Reader


def read(raw, sizes):
    """In pieces of these sizes, by another reader each time."""
    reader, found, at, turn = Reader(), [], 0, 0
    while at < len(raw):
        size = sizes[turn % len(sizes)]
        found += reader.feed(raw[at : at + size])
        reader = Reader(**json.loads(json.dumps(reader.as_json())))
        at, turn = at + size, turn + 1
    reader.finish()
    return found


def charts_in(found):
    """What the parts come to, entry by entry."""
    charts = {entry.number: ([], [], []) for entry in found if isinstance(entry, Entry)}
    for part in found:
        if isinstance(part, Part):
            assert len(charts[part.entry][part.series]) == part.number * PART
            charts[part.entry][part.series].extend(part.values)
    return list(charts.values())


value = strategies.integers(-(2**31), 2**31)
chart = strategies.lists(strategies.tuples(value, value, strategies.integers(0, 2**53)), max_size=5)
layouts = strategies.sampled_from([{"indent": 2}, {"separators": (",", ":")}, {"indent": "\t"}, {}])
sizes = strategies.lists(strategies.integers(1, 40), min_size=1, max_size=5)


def as_file(charts, order):
    names = ("sprocket_production_actual", "sprocket_production_goal", "time")
    entries = []
    for rows in charts:
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
        by_name = dict(zip(names, columns, strict=True))
        entries.append({"factory": {"chart_data": {names[place]: by_name[names[place]] for place in order}}})
    return {"factories": entries}


@hypothesis.given(strategies.lists(chart, max_size=4), strategies.permutations(range(3)), layouts, sizes)
def test_a_file_is_read_in_whatever_pieces_it_comes(charts, order, layout, sizes):
    raw = json.dumps(as_file(charts, order), **layout).encode()
    found = read(raw, sizes)
    expected = [[list(column) for column in zip(*rows, strict=True)] or [[], [], []] for rows in charts]
    assert [list(map(list, chart)) for chart in charts_in(found)] == expected


@hypothesis.given(strategies.lists(chart, max_size=3), strategies.permutations(range(3)), layouts, sizes)
def test_an_entry_is_known_by_its_content_and_not_by_how_it_is_written(charts, order, layout, sizes):
    def digests(raw, sizes):
        return [entry.digest for entry in read(raw, sizes) if isinstance(entry, Entry)]

    plain = digests(json.dumps(as_file(charts, (0, 1, 2))).encode(), [10**6])
    assert digests(json.dumps(as_file(charts, order), **layout).encode(), sizes) == plain
    different = {json.dumps(rows) for rows in charts}
    assert len(set(plain)) == len(different)


@hypothesis.given(strategies.binary(max_size=200) | strategies.text(max_size=200).map(str.encode), sizes)
def test_what_is_no_such_file_is_refused(raw, sizes):
    with pytest.raises(Invalid):
        read(raw, sizes)


@hypothesis.given(strategies.integers(0, 10**6), sizes)
def test_a_file_that_is_cut_is_refused(place, sizes):
    raw = json.dumps(as_file([[(1, 2, 3), (4, 5, 6)], []], (0, 1, 2))).encode()
    with pytest.raises(Invalid):
        read(raw[: place % len(raw)], sizes)


def test_long_arrays_come_in_parts_of_one_size():
    count = 2 * PART + 7
    raw = json.dumps(as_file([[(n, -n, n) for n in range(count)]], (2, 0, 1))).encode()
    found = read(raw, [65_536])
    assert [len(part.values) for part in found if isinstance(part, Part)] == [PART, PART, 7] * 3
    assert charts_in(found)[0][2] == list(range(count))
    assert found[-1].parts == 3
