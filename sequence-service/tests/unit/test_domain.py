import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Invalid
from sequence_service.domain import Sequence, check_format


def a_sequence(minimum=1, maximum=5, cycle=True, issued=0, format="{}"):
    return Sequence("inv", minimum, maximum, cycle, format, issued)


def test_the_number_after_the_last_is_the_first():
    assert a_sequence().numbers_at(3, 4) == [4, 5, 1, 2]


def test_a_fresh_sequence_starts_at_its_minimum():
    assert (a_sequence().last, a_sequence().next, a_sequence().remaining) == (None, 1, 5)


def test_an_exhausted_sequence_has_no_next_number():
    exhausted = a_sequence(cycle=False, issued=5)
    assert (exhausted.last, exhausted.next, exhausted.remaining) == (5, None, 0)


def test_a_cycle_that_has_ended_has_its_whole_range_again():
    ended = a_sequence(issued=10)
    assert (ended.last, ended.next, ended.remaining, ended.cycles) == (5, 1, 5, 2)


@given(
    minimum=st.integers(-50, 50),
    size=st.integers(1, 40),
    first=st.integers(0, 10**30),
    data=st.data(),
)
def test_the_numbers_of_a_draw_are_those_of_its_tickets_one_by_one(minimum, size, first, data):
    sequence = a_sequence(minimum, minimum + size - 1)
    count = data.draw(st.integers(1, size))
    assert sequence.numbers_at(first, count) == [sequence.number_at(first + i) for i in range(count)]


@given(size=st.integers(1, 30), counts=st.lists(st.integers(1, 30), max_size=40))
def test_a_wrap_is_told_once_for_each_time_the_maximum_is_handed_out(size, counts):
    sequence = a_sequence(1, size)
    first = wraps = maxima = 0
    for count in (min(count, size) for count in counts):
        wraps += sequence.wraps_in(first, count)
        maxima += sequence.numbers_at(first, count).count(size)
        first += count
    assert wraps == maxima


@given(size=st.integers(1, 30), counts=st.lists(st.integers(1, 30), max_size=60))
def test_near_exhaustion_is_told_once_when_nine_tenths_are_gone(size, counts):
    sequence = a_sequence(1, size, cycle=False)
    first, told = 0, []
    for wanted in counts:
        count = min(wanted, size - first)
        if count:
            if sequence.nears_its_end_in(first, count):
                told.append(first + count)
            first += count
    assert len(told) == (first >= 0.9 * size)
    assert all(gone >= 0.9 * size for gone in told)


@pytest.mark.parametrize("format", ["{}", "{:d}", "{:05d}", "{:5}", "INV-{:032d}/x", "{{{}}}"])
def test_a_format_with_one_number_field_is_taken(format):
    check_format(format)
    assert "7" in a_sequence(format=format).formatted(7)


@pytest.mark.parametrize(
    "format",
    [
        "",
        "x",
        "{",
        "}",
        "{}{}",
        "{0}",
        "{name}",
        "{!r}",
        "{:x}",
        "{:033d}",
        "{:99d}",
        "{:>5}",
        "{:{}}",
        "{.real}",
        "{:05f}",
    ],
)
def test_any_other_format_is_refused(format):
    with pytest.raises(Invalid, match="format"):
        check_format(format)
