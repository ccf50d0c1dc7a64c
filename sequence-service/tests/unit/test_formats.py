from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Invalid
from sequence_service.domain.formats import check_format
from sequence_service.domain.sequences import Sequence


@pytest.mark.parametrize("format", ["{}", "{:d}", "{:05d}", "{:05}", "INV-{:032d}/x", "{{{}}}"])
def test_format_with_one_number_field_is_accepted(format):
    check_format(format)
    assert "7" in Sequence("inv", 1, 9, format=format).format_number(7)


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
        "{:5}",
        "{:5d}",
        "{:>5}",
        "{:{}}",
        "{.real}",
        "{:05f}",
    ],
)
def test_any_other_format_is_rejected(format):
    with pytest.raises(Invalid, match="format"):
        check_format(format)


@pytest.mark.parametrize(
    ("reset", "format", "formatted"),
    [
        ("year", "INV-{year}-{:04d}", "INV-2026-0007"),
        ("year", "{}/{year:d}", "7/2026"),
        ("month", "{year}{month:02d}-{:05d}", "202603-00007"),
        ("month", "{month:02d}.{year:04d} {:d}", "03.2026 7"),
        ("day", "{year}{month:02d}{day:02d}{:03d}", "20260304007"),
        ("day", "{day:02d}{day:02d}{}{month:02d}{year}", "04047032026"),
    ],
)
def test_format_with_the_fields_of_its_period_is_accepted(reset, format, formatted):
    check_format(format, reset)
    period = {"year": "2026", "month": "2026-03", "day": "2026-03-04"}[reset]
    assert Sequence("inv", 1, 9, format=format, reset=reset, period=period).format_number(7) == formatted


@pytest.mark.parametrize(
    ("reset", "format"),
    [
        (None, "{year}-{}"),
        ("year", "{}"),
        ("year", "{year}"),
        ("year", "{year}{month:02d}{}"),
        ("year", "{year:02d}{}"),
        ("year", "{year!r}{}"),
        ("month", "{month:02d}-{}"),
        ("month", "{year}{month}-{}"),
        ("day", "{day:02d}-{}"),
        ("day", "{year}{month:02d}{day}-{}"),
        ("day", "{year}{month:02d}{day:03d}-{}"),
        ("day", "{year.real}{month:02d}{day:02d}-{}"),
    ],
)
def test_format_that_could_repeat_or_has_other_fields_is_rejected(reset, format):
    with pytest.raises(Invalid, match="format"):
        check_format(format, reset)


PARTS = ["{year}", "{month:02d}", "{day:02d}", "{}", "-", "1"]


@given(parts=st.permutations(PARTS), width=st.sampled_from(["", ":02d"]))
def test_two_periods_or_numbers_never_have_the_same_formatted_number(parts, width):
    format = "".join(parts).replace("{}", f"{{{width}}}")
    check_format(format, "day")
    periods = ["2026-01-11", "2026-11-01", "2026-01-01", "2026-11-11", "1202-01-11"]
    numbers = [1, 2, 11, 12, 101, 111, 1101, 2026, 20261]
    formatted = {
        Sequence("inv", 1, 99_999, format=format, reset="day", period=period).format_number(number)
        for period, number in product(periods, numbers)
    }
    assert len(formatted) == len(periods) * len(numbers)
