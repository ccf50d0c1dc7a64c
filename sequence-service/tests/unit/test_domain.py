from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Conflict, Invalid
from sequence_service.domain.sequences import Sequence


def a_sequence(minimum=1, maximum=5, cycle=True, issued=0, format="{}"):
    return Sequence("inv", minimum, maximum, cycle, format, issued=issued)


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


@pytest.mark.parametrize(
    ("reset", "timezone", "time", "period"),
    [
        ("year", "UTC", "2026-12-31T23:59:59", "2026"),
        ("year", "UTC", "2027-01-01T00:00:00", "2027"),
        ("year", "Pacific/Auckland", "2026-12-31T11:00:00", "2027"),
        ("month", "America/New_York", "2026-12-01T04:59:59", "2026-11"),
        ("month", "Asia/Kathmandu", "2026-11-30T18:15:00", "2026-12"),
        # The clocks of Berlin change on these days, which have 23 and 25 hours.
        ("day", "Europe/Berlin", "2026-03-29T21:59:59", "2026-03-29"),
        ("day", "Europe/Berlin", "2026-03-29T22:00:00", "2026-03-30"),
        ("day", "Europe/Berlin", "2026-10-25T22:59:59", "2026-10-25"),
        ("day", "Europe/Berlin", "2026-10-25T23:00:00", "2026-10-26"),
    ],
)
def test_period_begins_at_local_midnight(reset, timezone, time, period):
    sequence = Sequence("inv", 1, 5, reset=reset, timezone=timezone)
    assert sequence.at(datetime.fromisoformat(time).replace(tzinfo=UTC)).period == period


def test_new_period_begins_at_the_minimum_and_a_clock_that_steps_back_does_not_reopen_one():
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    sequence = Sequence("inv", 1, 5, reset="year", issued=3, period="2026")
    assert sequence.at(datetime(2026, 12, 31, tzinfo=UTC)) == sequence
    assert (sequence.at(new_year).next, sequence.at(new_year).last) == (1, None)
    issued = Sequence("inv", 1, 5, reset="year", issued=2, period="2027")
    assert issued.at(datetime(2026, 12, 31, tzinfo=UTC)) == issued


def test_sequence_without_reset_never_restarts():
    sequence = a_sequence(issued=3)
    assert sequence.at(datetime(9999, 1, 1, tzinfo=UTC)) == sequence


@given(size=st.integers(1, 20), issued=st.integers(0, 60), extension=st.integers(0, 20), cycle=st.booleans())
def test_extended_sequence_continues_after_its_last_number(size, issued, extension, cycle):
    sequence = a_sequence(1, size, cycle=cycle, issued=issued if cycle else min(issued, size))
    extended = sequence.extend_to(size + extension)
    assert extended.last == sequence.last
    if extension:
        assert extended.next == (sequence.last or 0) + 1
    else:
        assert extended == sequence


@given(size=st.integers(1, 20), issued=st.integers(0, 60), number=st.integers(1, 20), cycle=st.booleans())
def test_skip_goes_forward_within_the_cycle_or_is_rejected(size, issued, number, cycle):
    sequence = a_sequence(1, size, cycle=cycle, issued=issued if cycle else min(issued, size))
    if number > size:
        with pytest.raises(Invalid):
            sequence.skip_to(number)
    elif sequence.next is None or number < sequence.next:
        with pytest.raises(Conflict):
            sequence.skip_to(number)
    else:
        skipped = sequence.skip_to(number)
        assert (skipped.next, skipped.cycles) == (number, sequence.cycles)
        assert skipped.issued >= sequence.issued
