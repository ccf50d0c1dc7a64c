"""Positions of kept rows are converted to numbers of all rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specstore_service.operations.limits import Unreadable
from specstore_service.operations.omitted_rows import OmittedRows


def omit_all(numbers, max_groups=1000):
    rows = OmittedRows(max_groups, "too many groups")
    for number in numbers:
        rows.omit(number)
    return rows


@given(st.lists(st.integers(1, 30), unique=True))
def test_positions_count_the_rows_that_are_not_omitted_in_any_order(numbers):
    rows = omit_all(numbers)
    kept = [number for number in range(1, 50) if number not in numbers]
    assert [rows.number_at(position) for position in range(1, len(kept) + 1)] == kept
    assert rows.count == len(numbers)


def test_consecutive_rows_form_one_group():
    rows = omit_all([*range(2, 1000), *range(1001, 2000)], max_groups=2)
    assert [rows.number_at(position) for position in (1, 2, 3)] == [1, 1000, 2000]
    with pytest.raises(Unreadable, match=r"^too many groups$"):
        rows.omit(2001)
