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
        ("id|name|email|state|birthday|note", "missing_columns", ("zipcode",)),
        ("id|name|email|ZIP|Postal code|state|birthday", "doubled_columns", ("zipcode",)),
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
    assert header.reported_columns == COLUMNS
    assert header.has_escaped_formulas and header.ignored_columns == ()


@pytest.mark.parametrize(
    "line",
    [
        "Order ID;Customer Name;E-mail;State Code;Zip Code;Date of birth",
        "order_no;NAME;Email address;state;ZIP;DOB",
        "OrderNumber;Full name;mail;US-State;Postal code;Birth date",
    ],
)
def test_common_synonyms_mean_the_columns(line):
    assert parse_header(line.encode()).columns == COLUMNS


def test_exact_name_precedes_a_synonym():
    header = parse_header(b"ID,ZIP,Order ID,name,email,state,zipcode,birthday")
    assert header.columns == ("id", "#2", "#3", "name", "email", "state", "zipcode", "birthday")
    assert header.ignored_columns == ("ZIP", "Order ID")


def test_mapped_name_precedes_the_exact_name():
    line = b"Nr,id,name,email,state,PLZ,birthday"
    header = parse_header(line, mapping={"id": " nr", "zipcode": "plz"})
    assert header.columns == ("id", "#2", "name", "email", "state", "zipcode", "birthday")


def test_missing_mapped_column_is_named_as_in_the_mapping():
    with pytest.raises(InvalidHeader) as caught:
        parse_header("|".join(COLUMNS).encode(), mapping={"zipcode": "PLZ"})
    assert (caught.value.reason, caught.value.names) == ("missing_columns", ("PLZ",))
    assert caught.value.columns == COLUMNS


def test_column_without_a_name_is_ignored_and_shown_by_its_number():
    header = parse_header(b",id,,name,email,state,zipcode,birthday,note,,")
    assert header.ignored_columns == ("#1", "#3", "note")
    assert header.reported_names == ("", "id", "", "name", "email", "state", "zipcode", "birthday", "note")
