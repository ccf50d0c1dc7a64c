import pytest

from orders_service.domain.headers import COLUMNS, InvalidHeader, parse_header


@pytest.mark.parametrize("separator", ["|", ",", ";", "\t"])
def test_separator_is_detected(separator):
    header = parse_header(separator.join(COLUMNS).encode())
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
def test_accepts_columns_in_any_order_and_common_spellings(line):
    assert set(parse_header(line.encode()).columns) == set(COLUMNS)


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
def test_error_names_the_affected_columns(line, reason, names):
    with pytest.raises(InvalidHeader) as caught:
        parse_header(line.encode())
    assert (caught.value.reason, caught.value.names) == (reason, names)


@pytest.mark.parametrize(
    "line", [b"PK\x03\x04", b"\x1f\x8b\x08\x00", "id|name".encode("utf-16"), b"id\0|name", b"\xe9"]
)
def test_rejects_a_line_that_is_not_text(line):
    with pytest.raises(InvalidHeader, match="no_text"):
        parse_header(line)


def test_ignores_the_columns_of_a_report():
    header = parse_header(b"id|name|email|state|zipcode|birthday|line|rule|message")
    assert header.order_columns == COLUMNS
    assert header.is_report
