import pytest

from orders_service.domain.headers import COLUMNS, BadHeader, header_of


@pytest.mark.parametrize("separator", ["|", ",", ";", "\t"])
def test_the_separator_is_recognised_from_the_header(separator):
    header = header_of(separator.join(COLUMNS).encode())
    assert (header.separator, header.columns) == (separator, COLUMNS)


@pytest.mark.parametrize(
    "line",
    [
        "zipcode|state|birthday|id|email|name",
        "ID|Name|EMAIL|State| zipcode |birthday",
        "id|name|email|state|zipcode|birthday,year",
        '"id"|"name"|"email"|"state"|"zipcode"|"birthday"\r',
        "id;name;email;state;zipcode;birthday,year",
    ],
)
def test_columns_come_in_any_order_and_in_usual_spellings(line):
    assert set(header_of(line.encode()).columns) == set(COLUMNS)


@pytest.mark.parametrize(
    ("line", "reason", "names"),
    [
        ("id|name|email|state|zipcode", "missing_columns", ("birthday",)),
        ("id|name|email|state|zipcode|birthday|note", "unknown_columns", ("note",)),
        ("id|name|email|state|zipcode|birthday|id", "doubled_columns", ("id",)),
        ("1|Ann|a@b.de|NY|10001|Feb 1, 1980", "missing_columns", COLUMNS),
        ("id name email state zipcode birthday", "missing_columns", COLUMNS),
    ],
)
def test_what_is_wrong_with_a_header_is_named(line, reason, names):
    with pytest.raises(BadHeader) as caught:
        header_of(line.encode())
    assert (caught.value.reason, caught.value.names) == (reason, names)


@pytest.mark.parametrize(
    "line", [b"PK\x03\x04", b"\x1f\x8b\x08\x00", "id|name".encode("utf-16"), b"id\0|name", b"\xe9"]
)
def test_what_is_no_text_has_no_header(line):
    with pytest.raises(BadHeader, match="no_text"):
        header_of(line)


def test_the_columns_of_a_report_are_passed_over():
    header = header_of(b"id|name|email|state|zipcode|birthday|line|rule|message")
    assert header.own_columns == COLUMNS
    assert header.is_report
