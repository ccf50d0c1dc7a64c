"""Files whose lines are too long or have too many columns are rejected in bounded time and memory."""

from pathlib import Path

import pytest

from orders_service.domain.csv_rows import split_rows
from orders_service.domain.headers import COLUMNS

pytestmark = pytest.mark.slow

SEPARATORS = ["|", ",", ";", "\t"]
EXPECTED = "the header must be id|name|email|state|zipcode|birthday"
TOO_MANY_COLUMNS = f"{EXPECTED}, but has more than 1000 columns"
HEADER_TOO_LONG = f"{EXPECTED}, but the first line is not shorter than 1048576 bytes"


def join_cells(separator, *cells):
    return separator.join(cells).encode()


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("cell", ["x", '"x"', ""])
def test_header_with_too_many_columns_fails_the_import_and_states_the_limit(api, separator, cell):
    for column_count in (1001, 1_000_000):
        status = api.run_import(join_cells(separator, *COLUMNS, *[cell] * (column_count - 6)) + b"\n")
        assert (status["status"], status["message"]) == ("FAILURE", TOO_MANY_COLUMNS)


def test_a_thousand_columns_are_ignored_and_a_part_of_them_is_listed(api):
    status = api.run_import(join_cells("|", *COLUMNS, *(f"x{number}" for number in range(994))) + b"\n")
    assert status["status"] == "SUCCESS"
    assert status["ignored_columns"] == [f"x{number}" for number in range(20)]


@pytest.mark.parametrize("language", ["pt", "es"])
def test_limit_of_the_header_is_stated_in_each_language(api, client, language):
    task = api.run_import(b"x" * 2**20)["task_id"]
    response = client.get(f"/acme_orders/api/v1/orders/import/status/{task}", headers={"Accept-Language": language})
    assert "1048576" in response.json["result"]["message"]
    assert response.json["result"]["message"] != HEADER_TOO_LONG


@pytest.mark.parametrize(
    "content",
    [b"x" * 40_000_000, b'"' * 40_000_000, "é".encode() * 600_000, b"id|" + b"x" * 2**20],
    ids=["letters", "quotes", "two-byte characters", "two columns"],
)
def test_unterminated_first_line_fails_the_import_and_states_the_limit(api, content):
    status = api.run_import(content)
    assert (status["status"], status["message"]) == ("FAILURE", HEADER_TOO_LONG)


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize(
    ("cell", "count", "rule"),
    [
        ("x", 500_000, "fields"),
        ('"x"', 200_000, "fields"),
        ("x", 1_000_000, "too_long"),
        ('"x"', 1_000_000, "too_long"),
    ],
)
def test_row_with_too_many_fields_is_rejected_but_not_its_neighbors(api, separator, cell, count, rule):
    header, order = (
        join_cells(separator, *cells) for cells in (COLUMNS, ("5", "Ann", "a@b.de", "TX", "10001", "1963-02-27"))
    )
    row = join_cells(separator, *[cell] * count)
    status = api.run_import(b"\n".join([header, order, row, order.replace(b"5", b"6", 1), b""]))
    assert (status["status"], status["valid"], status["rejected"]) == ("SUCCESS", 2, 1)
    assert api.errors(status["task_id"]).rsplit(separator, 3)[1:3] == ["3", rule]


@pytest.mark.parametrize(("cell", "count"), [("", 1_000_000), ('""', 300_000), (" ", 500_000)])
def test_row_of_very_many_blank_cells_is_ignored(api, counts_of, cell, count):
    order = "5|Ann|a@b.de|TX|10001|1963-02-27"
    status = api.run_import("\n".join(["|".join(COLUMNS), order, "|".join([cell] * count), ""]).encode())
    assert counts_of(status) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    "cell", [b'""', b'"\n"', b'"x\n', b'x"\n'], ids=["empty", "line break", "unclosed", "literal quote"]
)
def test_quoted_rows_with_too_many_fields_are_split_completely(cell):
    data = b"|".join([cell] * 200_000)
    assert split_rows(data, "|", at_end=True).used_bytes == len(data)


def test_end_of_a_row_with_too_many_fields_does_not_depend_on_the_chunk():
    data = b'"a\nb"' + b'|"c"' * 2000 + b"\n1|2\n"
    rows = split_rows(data, "|", at_end=True).rows
    assert [(row.line, len(row.raw)) for row in rows] == [(0, len(data) - 4), (2, 4)]
    for end in (1000, 5000, len(data) - 5):
        assert split_rows(data[:end], "|", at_end=False).rows == []
    assert split_rows(data[:-2], "|", at_end=False).rows == rows[:1]


def memory_mib(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def test_line_of_a_hundred_megabytes_needs_less_than_64_mib_of_memory(api):
    prefix, suffix = join_cells("|", *COLUMNS) + b"\n", b"\n7|Ann|a@b.de|TX|10001|1963-02-27\n"
    task = api.start_import(prefix + b'"x|' * 35_000_000 + suffix)
    # Reset the peak memory usage of this process.
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_mib("VmRSS")
    status = api.finish(task)
    assert (status["valid"], status["rejected"]) == (1, 1)
    assert memory_mib("VmHWM") - before < 64
