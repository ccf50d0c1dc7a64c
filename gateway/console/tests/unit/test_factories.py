"""The width of the bars of attainment."""

import pytest

from console_service.routes.factories import DAY, bucket_for


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0, "1h"), (2 * DAY, "1h"), (3 * DAY, "1d"), (62 * DAY, "1d"), (63 * DAY, "1w"), (500 * DAY, "4w"),
     (10_000 * DAY, "52w"), (84_000 * DAY, "52w")],
)  # fmt: skip
def test_bars_are_as_narrow_as_their_number_allows(seconds, bucket):
    name, _, width = bucket_for(seconds)
    assert name == bucket
    assert seconds / width <= 240
