import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Invalid
from sequence_service.domain import Sequence, check_format


def a_sequence(minimum=1, maximum=5, cycle=True, issued=0, format="{}"):
    return Sequence("inv", minimum, maximum, cycle, format, issued)


def test_numbers_wrap_around_to_minimum_after_maximum():
    assert a_sequence().numbers_at(3, 4) == [4, 5, 1, 2]


def test_new_sequence_starts_at_its_minimum():
    assert (a_sequence().last, a_sequence().next, a_sequence().remaining) == (None, 1, 5)


def test_exhausted_sequence_has_no_next_number():
    exhausted = a_sequence(cycle=False, issued=5)
    assert (exhausted.last, exhausted.next, exhausted.remaining) == (5, None, 0)


def test_completed_cycle_makes_the_full_range_available_again():
    sequence = a_sequence(issued=10)
    assert (sequence.last, sequence.next, sequence.remaining, sequence.cycles) == (5, 1, 5, 2)


@given(
    minimum=st.integers(-50, 50),
    size=st.integers(1, 40),
    first=st.integers(0, 10**30),
    data=st.data(),
)
def test_numbers_equal_the_number_of_each_ticket(minimum, size, first, data):
    sequence = a_sequence(minimum, minimum + size - 1)
    count = data.draw(st.integers(1, size))
    assert sequence.numbers_at(first, count) == [sequence.number_at(first + i) for i in range(count)]


@given(size=st.integers(1, 30), counts=st.lists(st.integers(1, 30), max_size=40))
def test_cycle_completes_each_time_the_maximum_is_issued(size, counts):
    sequence = a_sequence(1, size)
    first = completed_cycles = issued_maxima = 0
    for count in (min(count, size) for count in counts):
        completed_cycles += sequence.completes_cycle(first, count)
        issued_maxima += sequence.numbers_at(first, count).count(size)
        first += count
    assert completed_cycles == issued_maxima


@given(size=st.integers(1, 30), counts=st.lists(st.integers(1, 30), max_size=60))
def test_becomes_nearly_exhausted_once_when_nine_tenths_are_issued(size, counts):
    sequence = a_sequence(1, size, cycle=False)
    first, issued_when_nearly_exhausted = 0, []
    for requested in counts:
        count = min(requested, size - first)
        if count:
            if sequence.becomes_nearly_exhausted(first, count):
                issued_when_nearly_exhausted.append(first + count)
            first += count
    assert len(issued_when_nearly_exhausted) == (first >= 0.9 * size)
    assert all(issued >= 0.9 * size for issued in issued_when_nearly_exhausted)


@pytest.mark.parametrize("format", ["{}", "{:d}", "{:05d}", "{:5}", "INV-{:032d}/x", "{{{}}}"])
def test_format_with_one_number_field_is_accepted(format):
    check_format(format)
    assert "7" in a_sequence(format=format).format_number(7)


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
def test_any_other_format_is_rejected(format):
    with pytest.raises(Invalid, match="format"):
        check_format(format)
