"""Blank rows are dropped, and the other rows keep their numbers."""

import pytest

from specstore_service.operations import blank_rows
from specstore_service.operations.blank_rows import BlankRows
from specstore_service.operations.limits import Unreadable


def numbers_of(rows, batch_size):
    """Drop the blank rows, and return the counter and the numbers of the rows that are kept."""
    counter = BlankRows()
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    kept = [row for batch in counter.drop(iter(batches)) for row in batch]
    numbers = [counter.number_at(position) for position in range(1, len(kept) + 1)]
    assert kept == [rows[number - 1] for number in numbers]
    return counter, numbers


ROWS = [["h"], [], ["1"], ["", None], [""], [0], [False], [], ["", "x"], [[]], [None]]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 200])
def test_rows_without_any_value_are_dropped(batch_size):
    counter, numbers = numbers_of(ROWS, batch_size)
    assert numbers == [1, 3, 6, 7, 9, 10]
    assert (counter.count, counter.first_numbers) == (5, [2, 4, 5, 8, 11])


def test_table_without_blank_rows_stays_unchanged():
    counter, numbers = numbers_of([["a"], ["1"]], 1)
    assert (counter.count, counter.first_numbers, numbers) == (0, [], [1, 2])


def test_first_ten_numbers_are_listed():
    counter, _ = numbers_of([["h"], *([[]] * 5000), ["1"]], 200)
    assert (counter.count, counter.first_numbers, counter.number_at(2)) == (5000, list(range(2, 12)), 5002)


def test_second_pass_starts_again():
    counter = BlankRows()
    for _ in range(2):
        assert list(counter.drop(iter([[["h"], [], ["1"]]]))) == [[["h"], ["1"]]]
        assert (counter.count, counter.number_at(2)) == (1, 3)


def test_separate_groups_are_limited(monkeypatch):
    monkeypatch.setattr(blank_rows, "_MAX_GROUPS", 3)
    with pytest.raises(Unreadable, match="has more than 3 groups of blank rows"):
        numbers_of([["h"], [], ["1"], [], ["2"], [], ["3"], []], 200)
