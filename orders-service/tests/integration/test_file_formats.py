"""Files in other encodings, with other names of columns, dates and line endings, are imported as they are."""

import json

import pytest

from orders_service.domain.rules import Policy

PATH = "/acme_orders/api/v1/orders"
HEADER = "id|name|email|state|zipcode|birthday"
GOOD = "ann@example.com|TX|10001|Feb 27, 1963"


@pytest.fixture
def small_chunks(monkeypatch):
    """Store one byte per chunk, so that each step of an import reads eight bytes."""
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 1)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 1)


def get_errors(api, task, language="en"):
    response = api.client.get(f"{PATH}/import/{task}/errors.csv", headers={"Accept-Language": language})
    assert response.status_code == 200
    return response


NAMES = {
    "cp1252": "Jörg €",
    "cp932": "表ソ田",
    "gb18030": "王小明😀",
    "mac_roman": "José",
    "cp500": "Jose",
    "utf-16": "Łukasz 😀",
    "utf-32": "Łukasz",
}


@pytest.mark.parametrize("encoding", NAMES)
def test_file_in_a_requested_encoding_is_imported_and_reported_in_it(api, counts_of, encoding, small_chunks):
    name = NAMES[encoding]
    text = f"{HEADER}\n1|{name}|{GOOD}\n2|{name}|a@b.de|NJ|10001|Feb 27, 1963\nx|{name}|{GOOD}\n"
    status = api.run_import(text.encode(encoding), f"?encoding={encoding}")
    assert counts_of(status) == (1, 1, 0, 1)
    assert api.order(1).json["result"]["name"] == name
    report = get_errors(api, status["task_id"])
    assert report.headers["Content-Type"] == f"text/csv; charset={encoding.replace('_', '-')}"
    lines = report.data.decode(encoding).splitlines()
    assert lines[0] == f"{HEADER}|line|rule|message"
    assert [line.rsplit("|", 3)[0] for line in lines[1:]] == text.splitlines()[2:]
    corrected = report.data.decode(encoding).replace("|NJ|", "|TX|").replace("\n2|", "\n3|").replace("\nx|", "\n4|")
    assert counts_of(api.run_import(corrected.encode(encoding), f"?encoding={encoding}")) == (2, 0, 0, 0)
    assert api.order(4).json["result"]["name"] == name


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"], ids=["little-endian", "big-endian"])
def test_utf_16_is_recognized_by_its_byte_order_mark(api, counts_of, mark, small_chunks):
    encoding = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    status = api.run_import(mark + f"{HEADER}\r\n1|Zoë 😀|{GOOD}\r\n2|ß\r\n".encode(encoding))
    assert counts_of(status) == (1, 0, 0, 1)
    assert api.order(1).json["result"]["name"] == "Zoë 😀"
    report = get_errors(api, status["task_id"]).data
    assert report.startswith(mark)
    assert report.decode("utf-16").splitlines()[1].startswith("2|ß".join(['"', '"']))


def test_report_has_a_byte_order_mark_if_the_file_has_one(api):
    for mark in (b"\xef\xbb\xbf", b""):
        status = api.run_import(mark + f"{HEADER}\nx|Ann|{GOOD}\n".encode())
        report = get_errors(api, status["task_id"]).data
        assert report.startswith(mark + b"id|")


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", b"J\xf6rg"),
        ("utf-8", b"J\xc3"),
        ("utf-8", b"\xed\xb2\x80"),
        ("utf-8", b"\xf6\xfe,;'"),
        ("utf-8", b"a\0b"),
        ("ascii", b"\xff"),
        ("cp1252", b"J\x81\xf6"),
        ("cp932", b"\x81 x"),
        ("euc_jp", b"\xc3\xa9\xff"),
    ],
)
def test_unreadable_row_is_reported_byte_for_byte(api, counts_of, encoding, name):
    line = b"1|" + name + b"|" + GOOD.encode()
    content = b"\n".join([HEADER.encode(), line, f"2|Ann|{GOOD}".encode()])
    status = api.run_import(content, f"?encoding={encoding}")
    # The second row equals the first one in its state and zip code.
    assert counts_of(status) == (1, 0, 0, 1)
    _, row, _ = get_errors(api, status["task_id"]).data.split(b"\r\n")
    assert row.startswith(line + b"|2|")
    assert row.endswith(b"U+0000" if b"\0" in name else b"in the encoding of the file")


def test_rare_bytes_of_a_character_are_stored_as_the_character_and_reported_unchanged(api, counts_of, small_chunks):
    # Windows writes the first character in this way, and Python's encoder in another one.
    name = b"\xfb\xfc\x8b\xb4"
    lines = [b'1|"%s ""=1"|a@b.de|%s|10001|1963-02-27' % (name, state) for state in (b"NJ", b"TX")]
    status = api.run_import(b"\n".join([HEADER.encode(), *lines, name]), "?encoding=cp932")
    assert counts_of(status) == (0, 1, 1, 1)
    report = get_errors(api, status["task_id"]).data
    reported = report.split(b"\r\n")[1:4]
    assert [row[: len(line)] for row, line in zip(reported, [*lines, name], strict=True)] == [*lines, name]
    corrected = api.run_import(report.replace(b"|NJ|", b"|TX|"), "?encoding=cp932&on_duplicate=update")
    assert counts_of(corrected) == (1, 0, 1, 1)
    assert api.order(1).json["result"]["name"] == '髙橋 "=1'
    assert get_errors(api, corrected["task_id"]).data.split(b"\r\n")[1].startswith(lines[1])


def test_malformed_unreadable_row_is_reported_byte_for_byte(api):
    status = api.run_import(HEADER.encode() + b"\n\xff\xfe\0,\xed\xb2\x80\n")
    assert (
        get_errors(api, status["task_id"]).data.split(b"\r\n")[1].startswith(b"\xff\xfe\0,\xed\xb2\x80||||||2|fields|")
    )


def test_message_that_the_encoding_lacks_is_replaced(api):
    status = api.run_import(f"{HEADER}\n1|Иван|a@b.de|NJ|10001|Feb 27, 1963\n".encode("cp1251"), "?encoding=cp1251")
    report = get_errors(api, status["task_id"], "pt").data.decode("cp1251")
    assert "|Иван|" in report and "N?o entregamos em NJ" in report


@pytest.mark.parametrize("rejected_rows", [0, 1])
def test_file_that_is_not_utf_8_is_explained_if_rows_were_rejected(api, rejected_rows):
    content = f"{HEADER}\n1|Ann|{GOOD}\n{f'2|Jörg|{GOOD}' * rejected_rows}\n".encode("cp1252")
    message = api.run_import(content)["message"]
    hint = "; the file seems to have the encoding cp1252; upload it again with encoding=cp1252"
    assert message == "import finished" + hint * rejected_rows


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"encoding": "base64"}, "encoding"),
        ({"encoding": "nope"}, "encoding"),
        ({"encoding": ""}, "encoding"),
        ({"columns": "x"}, "columns"),
        ({"columns": "[]"}, "columns"),
        ({"columns": '{"zip":"PLZ"}'}, "columns"),
        ({"columns": '{"zipcode":"PLZ","zipcode":"ZIP"}'}, "columns"),
        ({"columns": '{"zipcode":"PLZ","name":" plz"}'}, "columns"),
        ({"columns": '{"zipcode":5}'}, "columns"),
        ({"columns": '{"zipcode":""}'}, "columns"),
        ({"columns": "[" * 100_00}, "columns"),
        ({"columns": json.dumps({"name": "x" * 201})}, "columns"),
        ({"date_format": "%d.%m"}, "date_format"),
        ({"date_format": "%s"}, "date_format"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_invalid_parameter_is_rejected_by_its_name(api, client, parameters, field):
    for language in ("en", "pt", "es"):
        response = client.put(
            f"{PATH}/import",
            query_string=parameters,
            data=HEADER,
            content_type="text/csv",
            headers={"Accept-Language": language},
        )
        assert response.status_code == 400
        assert list(response.json["message"]) == [field]
        assert response.json["message"][field].startswith(f"{field} ")
    assert client.get(f"{PATH}/import/status").json["total"] == 0


def test_columns_are_mapped_and_other_columns_ignored(api, counts_of):
    header = "Nr;Kunde;email;PLZ;Bemerkung;Staat;birthday"
    content = f"{header}\n1;Ann;a@b.de;10001;sofort;TX;1963-02-27\n2;Bo;b;10001;=x;NJ;x\n"
    mapping = json.dumps({"zipcode": "PLZ", "id": "Nr", "name": "kunde", "state": "STAAT"})
    status = api.run_import(content.encode(), f"?columns={mapping}")
    assert counts_of(status) == (1, 0, 0, 1)
    assert status["ignored_columns"] == ["Bemerkung"]
    report = api.errors(status["task_id"])
    assert report.splitlines()[0] == f"{header};line;rule;message"
    assert report.splitlines()[1].startswith("2;Bo;b;10001;'=x;NJ;x;3;birthday;")
    corrected = report.replace(";NJ;x;", ";TX;1963-02-27;").replace(";b;", ";b@b.de;")
    assert counts_of(api.run_import(corrected.encode(), f"?columns={mapping}")) == (1, 0, 0, 0)


def test_repeated_key_with_another_parameter_is_rejected(api):
    content = f"{HEADER}\n1|Ann|{GOOD}\n".encode()
    assert api.upload(content, "?encoding=cp1252", Idempotency_Key="k").status_code == 202
    assert api.upload(content, "?encoding=cp1250", Idempotency_Key="k").status_code == 422
    assert api.upload(content, "?encoding=cp1252", Idempotency_Key="k").headers["Idempotent-Replayed"] == "true"


def test_date_format_is_used_in_every_step(api, counts_of, small_chunks):
    content = (
        f"{HEADER}\n1|A|a@b.de|TX|10001|27.02.1963\n2|A|a@b.de|TX|10002|2/27/1963\n3|A|a@b.de|TX|10003|1963-02-27\n"
    )
    assert counts_of(api.run_import(content.encode(), "?date_format=%25d.%25m.%25Y")) == (2, 0, 0, 1)
    assert api.order(1).json["result"]["birthday"] == "February 27, 1963"


@pytest.mark.parametrize("first_line", ["sep=;", "SEP=;", '"sep=;"'])
def test_line_that_states_the_separator_is_skipped(api, first_line):
    content = f"{first_line}\r\n{HEADER.replace('|', ';')}\r\nx;Ann;a@b.de;TX;10001;1963-02-27\r\n"
    status = api.run_import(content.encode())
    assert (status["status"], status["rejected"]) == ("SUCCESS", 1)
    assert ";3;id;" in api.errors(status["task_id"])


def test_lines_may_end_with_carriage_returns_alone(api, counts_of, small_chunks):
    content = f'{HEADER}\r1|"Ann\nLee"|{GOOD}\r\r2|Bo|b@b.de|NJ|00501|Feb 27, 1963\rx|\r'
    status = api.run_import(content.encode())
    assert counts_of(status) == (1, 1, 0, 1)
    assert api.order(1).json["result"]["name"] == "Ann\nLee"
    assert api.findings(status["task_id"]) == {5: "allowed_state", 6: "fields"}


@pytest.mark.parametrize("separator", ["|", ",", ";", "\t"])
def test_blank_rows_and_trailing_blank_cells_are_ignored(api, counts_of, separator):
    blank = separator * 5
    order = separator.join(["1", "Ann", "a@b.de", "NJ", "10001", "1963-02-27"])
    lines = [
        *("", blank, HEADER.replace("|", separator), blank, " ", f'{separator}"" {separator}\u00a0{blank}'),
        *(order, blank, order.replace("1", "2", 1), order.replace("1", "3", 1) + f"{separator} {separator}", blank),
        order.replace("1", "4", 1) + f"{separator}x",
    ]
    status = api.run_import("\n".join(lines).encode())
    # Blank rows are not rows: the second and third order equal the preceding one.
    assert (counts_of(status), status["total"]) == ((2, 1, 0, 1), 4)
    assert {line for line in (7, 12) if f"{separator}{line}{separator}" in api.errors(status["task_id"])} == {7, 12}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_header_may_end_with_columns_without_a_name(api, counts_of, end):
    order = f"Ann|{GOOD}"
    lines = [f"{HEADER}|||", f"1|{order}|||", f"2|{order}", f"3|{order}| |", f"4|{order}|x||", f"x|{order}|||", ""]
    status = api.run_import(end.join(lines).encode())
    assert counts_of(status) == (3, 0, 0, 2)
    assert status["ignored_columns"] == []
    report = api.errors(status["task_id"]).splitlines()
    assert report[0] == f"{HEADER}|line|rule|message"
    assert report[2].startswith(f"x|{order}|6|id|")


STATES = {"nj": "NJ", " NJ": "NJ", "New Jersey": "NJ", "N.J.": "NJ", "ＮＪ\u3000": "NJ", "\u200bnj": "NJ"}


@pytest.mark.parametrize("state", STATES)
def test_no_spelling_of_a_state_switches_a_rule_off(api, client, state):
    status = api.run_import(f"{HEADER}\n1|Ann|a@b.de|{state}|10001|1963-02-27\n".encode())
    assert api.order(1).json["result"] | {"state": "NJ", "valid": False} == api.order(1).json["result"]
    assert api.orders(state="NJ").json["total"] == len(api.orders(state="nj").json["result"]) == 1
    report = api.errors(status["task_id"])
    assert f"|{state}|" in report and report.endswith("|We don't ship to NJ\r\n")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("", "state must be the code or the name of a US state"),
        ("\u00a0", "state must be the code or the name of a US state"),
        ("British Columbia", "We don't ship to BRITISH\u00a0COLUMBIA"),
        ("AE", "We don't ship to AE"),
        ("x,=1", "\"We don't ship to X,'=1\""),
    ],
)
def test_text_that_means_no_state_is_invalid(api, state, message):
    rows = f'1,Ann,a@b.de,"{state}",10001,1963-02-27\n2,Bo,a@b.de,TX,10001,1963-02-27\n'
    status = api.run_import((HEADER.replace("|", ",") + "\n" + rows).encode())
    assert api.errors(status["task_id"]).endswith(f",2,allowed_state,{message}\r\n")
    assert api.order(1).json["result"]["errors"][0]["rule"] == "allowed_state"


@pytest.mark.parametrize(("state", "zipcode"), [("", ""), ("", "10001"), ("TX", " "), ("\u00a0", "10001")])
def test_blank_state_or_zip_code_never_passes_automatically(api, counts_of, state, zipcode):
    rows = "".join(f"{id}|Ann|a@b.de|{state}|{zipcode}|1963-02-27\n" for id in range(3))
    assert counts_of(api.run_import(f"{HEADER}\n{rows}".encode())) == (0, 3, 0, 0)


@pytest.mark.parametrize("email", ["a@b.net", "a@b.NET ", "a@b.net\u00a0", "a@b．ｎｅｔ", "ä@b.net"])
@pytest.mark.parametrize("state", ["NY", "new york"])
def test_no_spelling_of_an_address_switches_its_rule_off(api, state, email):
    api.run_import(f"{HEADER}\n1|Ann|{email}|{state}|10001|1963-02-27\n".encode())
    assert "email_state" in {error["rule"] for error in api.order(1).json["result"]["errors"]}


def test_states_of_the_policy_are_compared_with_normalized_states(api, counts_of):
    content = f"{HEADER}\n1|Ann|a@b.de|texas|10001|1963-02-27\n2|Ann|a@b.de|NJ|10001|1963-02-27\n".encode()
    assert counts_of(api.run_import(content, policy=Policy(excluded_states=("TX",)))) == (1, 1, 0, 0)
