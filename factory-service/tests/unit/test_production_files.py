import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Invalid
from factory_service.domain.production_files import parse_production


def rows_of(*chunks):
    return [
        row for points in parse_production(chunks) for row in zip(points.time, points.actual, points.goal, strict=True)
    ]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"time,actual,goal\n10,1,2\n20,-3,4\n", [(10, 1, 2), (20, -3, 4)]),
        (b"time,actual,goal\n10,1,2", [(10, 1, 2)]),
        (b"\xef\xbb\xbftime,actual,goal\r\n10,1,2\r\n", [(10, 1, 2)]),
        (b"Goal, Time ,ACTUAL\n2,10,1\n", [(10, 1, 2)]),
        (b"\ntime,actual,goal\n\n10,1,2\n,,\n", [(10, 1, 2)]),
        (b'"time","actual","goal"\n"10","1"," 2"\n', [(10, 1, 2)]),
        (b"time,actual,goal\n2026-11-21T12:00:00Z,1,2\n", [(1795262400, 1, 2)]),
        (b"time,actual,goal\n2026-11-21t13:00:00+01:00,1,2\n", [(1795262400, 1, 2)]),
        (b"time,actual,goal\n2016-12-31T23:59:60Z,1,2\n", [(1483228800, 1, 2)]),
        (b"time,actual,goal\n20,1,1\n10,2,2\n20,3,3\n", [(10, 2, 2), (20, 3, 3)]),
        (b"time,actual,goal\n", []),
    ],
)
def test_file_is_parsed(content, rows):
    assert rows_of(content) == rows


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "line 1: must be the header time,actual,goal"),
        (b"time;actual;goal\n1;2;3\n", "line 1: must be the header time,actual,goal, separated by commas"),
        (b"time,actual\n", "line 1: must be the header"),
        (b"1,2,3\n", "line 1: must be the header"),
        (b"time,actual,goal\n1,2\n", "line 2: must have 3 columns, not 2"),
        (b"time,actual,goal\n\n1,2,3,4\n", "line 3: must have 3 columns, not 4"),
        (b"time,actual,goal\n1,x,3\n", "line 2.actual: must be an integer between -2147483648 and 2147483648"),
        (b"time,actual,goal\n1,2,2147483649\n", "line 2.goal: must be an integer between"),
        (b"time,actual,goal\n1,2,\xd9\xa3\n", "line 2.goal: must be an integer between"),
        (b"time,actual,goal\n1.5,2,3\n", "line 2.time: must be Unix seconds, or an RFC 3339 time"),
        (b"time,actual,goal\n2026-11-21T12:00:00.5Z,2,3\n", "line 2.time: must be Unix seconds, or an RFC 3339 time"),
        (b"time,actual,goal\n2026-11-21,2,3\n", "line 2.time: must be Unix seconds, or an RFC 3339 time"),
        (b"time,actual,goal\n1611204818000,2,3\n", "times are in seconds, not in milliseconds"),
        (b"time,actual,goal\n2200-01-01T00:00:01Z,2,3\n", "line 2.time: must be at most 7258118400"),
        (b"time,actual,goal\n-1,2,3\n", "line 2.time: must not be before 1970"),
        (b"time,actual,goal\n1969-12-31T23:59:59Z,2,3\n", "line 2.time: must not be before 1970"),
        (b"time,actual,goal\n\xff,2,3\n", "file: must be valid UTF-8"),
        (b'time,actual,goal\n"1,2,3\n', "must be valid CSV"),
        (b"time,actual,goal\n" + b"1" * 2000, "line 2: must have at most 1000 characters"),
    ],
)
def test_error_names_the_line_and_the_column(content, detail):
    with pytest.raises(Invalid, match=r"line|file") as caught:
        rows_of(content)
    assert detail in caught.value.detail


@given(rows=st.lists(st.tuples(st.integers(0, 99), st.integers(-9, 9), st.integers(-9, 9))), data=st.data())
def test_any_division_into_chunks_gives_the_same_points(rows, data):
    content = ("time,actual,goal\r\n" + "".join(f"{time},{actual},{goal}\r\n" for time, actual, goal in rows)).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    chunks = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    expected = {time: (actual, goal) for time, actual, goal in rows}
    assert rows_of(*chunks) == [(time, *expected[time]) for time in sorted(expected)]
