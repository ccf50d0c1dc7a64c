from datetime import date

import polars as pl
import pytest

from orders_service.domain.birthdays import parse_birthdays
from orders_service.domain.date_formats import is_date_format

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("date_format", "text", "expected"),
    [
        ("%d.%m.%Y", "27.02.1963", date(1963, 2, 27)),
        ("%d.%m.%Y", "7.2.1963", date(1963, 2, 7)),
        ("%d.%m.%Y", "27-02-1963", None),
        ("%d.%m.%Y", "31.02.1963", None),
        ("%d.%m.%Y", "27.02.1963 ", None),
        ("%m/%d/%Y", "2/27/1963", date(1963, 2, 27)),
        ("%m/%d/%Y", "27/2/1963", None),
        ("%d %b %Y", "27 Feb 1963", date(1963, 2, 27)),
        ("%B %d of %Y", "february 27 of 1963", date(1963, 2, 27)),
        ("%d/%m/%y", "27/02/63", date(1963, 2, 27)),
        ("%d/%m/%y", "27/02/26", date(2026, 2, 27)),
        ("%Y%m%d", "19630227", date(1963, 2, 27)),
        ("%d%m%Y", "1112000", None),
        ("(%d) [%m] %Y+", "(27) [02] 1963+", date(1963, 2, 27)),
        ("%Y-%d-%m", "1963-02-03", date(1963, 3, 2)),
        ("%d.%m.%Y", "Feb 27, 1963", date(1963, 2, 27)),
        ("%d.%m.%Y", "1963-02-27", date(1963, 2, 27)),
        ("%d.%m.%Y", "31.12.1899", None),
        ("%d.%m.%Y", "23.11.2026", None),
    ],
)
def test_requested_format_is_added_to_the_usual_ones(date_format, text, expected):
    assert is_date_format(date_format)
    texts = pl.Series([text, "x", text])
    assert parse_birthdays(texts, TODAY, date_format).to_list() == [expected, None, expected]


@pytest.mark.parametrize(
    "date_format",
    ["", "%d.%m", "%d.%Y", "%m.%Y", "%d.%m.%Y %H", "%d.%d.%m.%Y", "%d.%m.%B.%Y", "%d.%m.%Y%", "%x", "%c", "%%d.%m.%Y",
     "%d.%m.%Y%%", "%-d.%m.%Y", "%d\n%m.%Y", "%d.%m.%Y" + "." * 40, "dd.mm.yyyy", "%Y-%j", "%d.%m.%G"],
)  # fmt: skip
def test_other_formats_are_rejected(date_format):
    assert not is_date_format(date_format)
