"""Files whose lines are too wide: rejected for what is wrong with them, in bounded time and memory."""

from pathlib import Path

import pytest

from orders_service.domain.csv_rows import split_rows
from orders_service.domain.headers import COLUMNS

SEPARATORS = ["|", ",", ";", "\t"]
TOO_MANY = "the header must not have more than 1000 columns"
TOO_LONG = "the first line must be a header that is shorter than 1048576 bytes"


def joined(separator, *cells):
    return separator.join(cells).encode()


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("cell", ["x", '"x"', ""])
def test_a_header_with_too_many_columns_fails_and_states_the_limit(api, separator, cell):
    for columns in (1001, 1_000_000):
        status = api.imported(joined(separator, *COLUMNS, *[cell] * (columns - 6)) + b"\n")
        assert (status["status"], status["message"]) == ("FAILURE", TOO_MANY)


def test_a_header_with_a_thousand_columns_is_judged_by_their_names(api):
    status = api.imported(joined("|", *COLUMNS, *(f"x{number}" for number in range(994))) + b"\n")
    assert status["message"].startswith("the header has an unknown column: x0, x1")
    assert len(status["message"]) < 500


@pytest.mark.parametrize("language", ["pt", "es"])
def test_the_limit_is_stated_in_each_language(api, client, language):
    task = api.imported(b"x" * 2**20)["task_id"]
    answer = client.get(f"/acme_orders/api/v1/orders/import/status/{task}", headers={"Accept-Language": language})
    assert "1048576" in answer.json["result"]["message"]
    assert answer.json["result"]["message"] != TOO_LONG


@pytest.mark.parametrize(
    "content", [b"x" * 40_000_000, b'"' * 40_000_000, "é".encode() * 600_000, b"id|" + b"x" * 2**20]
)
def test_a_first_line_that_does_not_end_fails_and_states_the_limit(api, content):
    status = api.imported(content)
    assert (status["status"], status["message"]) == ("FAILURE", TOO_LONG)


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize(
    ("cell", "count", "rule"),
    [
        ("", 1_000_000, "fields"),
        ("x", 500_000, "fields"),
        ('""', 300_000, "fields"),
        ("x", 1_000_000, "too_long"),
        ('"x"', 1_000_000, "too_long"),
    ],
)
def test_a_row_with_too_many_fields_is_rejected_alone(api, separator, cell, count, rule):
    header, order = (
        joined(separator, *cells) for cells in (COLUMNS, ("5", "Ann", "a@b.de", "TX", "10001", "1963-02-27"))
    )
    row = joined(separator, *[cell] * count)
    status = api.imported(b"\n".join([header, order, row, order.replace(b"5", b"6", 1), b""]))
    assert (status["status"], status["valid"], status["rejected"]) == ("SUCCESS", 2, 1)
    assert api.errors(status["task_id"]).rsplit(separator, 3)[1:3] == ["3", rule]


@pytest.mark.parametrize("cell", [b'""', b'"\n"', b'"x\n', b'x"\n'])
def test_rows_with_quotes_and_too_many_fields_are_split_to_the_end(cell):
    data = b"|".join([cell] * 200_000)
    assert split_rows(data, "|", at_end=True).used_bytes == len(data)


def test_where_a_row_with_too_many_fields_ends_does_not_depend_on_how_much_is_there():
    data = b'"a\nb"' + b'|"c"' * 2000 + b"\n1|2\n"
    whole = split_rows(data, "|", at_end=True).rows
    assert [(row.line, len(row.raw)) for row in whole] == [(0, len(data) - 4), (2, 4)]
    for end in (1000, 5000, len(data) - 5):
        assert split_rows(data[:end], "|", at_end=False).rows == []
    assert split_rows(data[:-2], "|", at_end=False).rows == whole[:1]


def memory_mib(kind):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


def test_a_line_of_a_hundred_megabytes_takes_no_more_memory_than_a_step(api):
    begin, end = joined("|", *COLUMNS) + b"\n", b"\n7|Ann|a@b.de|TX|10001|1963-02-27\n"
    task = api.accepted(begin + b'"x|' * 35_000_000 + end)
    # The most that this process has taken is counted from here.
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_mib("VmRSS")
    status = api.finish(task)
    assert (status["valid"], status["rejected"]) == (1, 1)
    assert memory_mib("VmHWM") - before < 64
