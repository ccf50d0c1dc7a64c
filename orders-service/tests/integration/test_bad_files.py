"""Uploads that are not valid CSV files are rejected; unusual but valid CSV files are imported."""

import io

import pytest

from orders_service.app import create_app

PATH = "/acme_orders/api/v1/orders/import"
GOOD = "Ann|ann@example.com|TX|10001|Feb 27, 1963"
HEADER = "id|name|email|state|zipcode|birthday"
EXPECTED = f"the header must be {HEADER}"
COLUMN_LIST = HEADER.replace("|", ", ")
NO_TEXT = f"{EXPECTED}, but the first line is not text in UTF-8 or the requested encoding"
MISSING_ALL = f"{EXPECTED}, but lacks the columns {COLUMN_LIST}"
MAP_COLUMNS = 'map other names with the parameter columns, as in columns={"zipcode":"PLZ"}'


def build_content(*lines, end="\n"):
    return end.join([HEADER, *lines, ""]).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            build_content(f"1|{GOOD}").decode().encode("utf-16-le"),
            f"{NO_TEXT}; the file seems to have the encoding utf-16-le; upload it again with encoding=utf-16-le",
        ),
        (
            b"Bestellung Nr. f\xfcr|" + build_content(),
            f"{NO_TEXT}; the file seems to have the encoding cp1252; upload it again with encoding=cp1252",
        ),
        (b"PK\x03\x04" + b"\0" * 100, f"{NO_TEXT}; the file is a ZIP archive; upload the CSV file that it contains"),
        (b"\x1f\x8b\x08" + b"\xff" * 100, f"{NO_TEXT}; the file is compressed; upload it uncompressed"),
        (
            b"\xd0\xcf\x11\xe0\xa1" + b"\0" * 100,
            f"{NO_TEXT}; the file is a workbook in the format XLS; save it as XLSX or CSV",
        ),
        (b"%PDF-1.7\n\xff", f"{MISSING_ALL}; the file is a PDF document; upload a CSV or XLSX file"),
        (
            b"\0" * 2_000_000,
            f"{NO_TEXT}; upload a CSV file; state its encoding with the parameter encoding, as in encoding=cp1252",
        ),
        (
            f"1|{GOOD}\n2|{GOOD}\n".encode(),
            f"{MISSING_ALL}; its columns are 1, Ann, ann@example.com, TX, 10001, Feb 27, 1963; {MAP_COLUMNS}",
        ),
        (
            b"id|name||email|state|zipcode\r1|Ann|\r",
            f"{EXPECTED}, but lacks the column birthday; its columns are id, name, #3, email, state, zipcode; "
            f"{MAP_COLUMNS}",
        ),
        (
            HEADER.encode() + b"|id\n",
            f"{EXPECTED}, but repeats the column id; its columns are {COLUMN_LIST}, id; {MAP_COLUMNS}",
        ),
        (
            HEADER.encode() + b"|id|name\n",
            f"{EXPECTED}, but repeats the columns id, name; its columns are {COLUMN_LIST}, id, name; {MAP_COLUMNS}",
        ),
        (
            b"name|email|state|zipcode|birthday|" + b"x" * 300_000,
            f"{EXPECTED}, but lacks the column id; its columns are name, email, state, zipcode, birthday, {'x' * 60}; "
            f"{MAP_COLUMNS}",
        ),
    ],
    ids=[
        "UTF-16 without a byte order mark",
        "cp1252",
        "zip archive",
        "gzip file",
        "XLS workbook",
        "PDF document",
        "null characters",
        "no header",
        "missing column, empty column name, CR line endings",
        "repeated column",
        "repeated columns",
        "long column name",
    ],
)
def test_invalid_header_fails_the_import_and_states_the_expected_header(api, content, message):
    status = api.run_import(content)
    assert (status["status"], status["current"]) == ("FAILURE", 0)
    assert status["message"] == message
    assert api.errors(status["task_id"]).count("\n") == 1


@pytest.mark.parametrize("language", ["pt", "es"])
@pytest.mark.parametrize(
    ("content", "names"),
    [(b"id|name\n", "email, state, zipcode, birthday"), (b"id|name|email|state|zipcode|birthday|x|y|id\n", "id")],
    ids=["missing columns", "repeated column"],
)
def test_invalid_header_is_explained_in_each_language(api, client, language, content, names):
    task = api.run_import(content)["task_id"]
    response = client.get(f"{PATH}/status/{task}", headers={"Accept-Language": language})
    message = response.json["result"]["message"]
    assert f" {HEADER}, " in message
    assert f" {names}; " in message and MAP_COLUMNS.rpartition(" ")[2] in message
    assert message != api.status(task)["message"]


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("has_final_line_break", [True, False], ids=["final line break", "no final line break"])
def test_line_endings_and_byte_order_mark_make_no_difference(api, counts_of, end, has_final_line_break):
    content = b"\xef\xbb\xbf" + build_content(
        f"1|{GOOD}", f'2|"An{end}n"|a@b.de|TX|00501|1963-02-27', "", f"3|{GOOD}", end=end
    )
    assert counts_of(api.run_import(content if has_final_line_break else content[: -len(end)])) == (3, 0, 0, 0)
    assert api.order(2).json["result"]["name"] == f"An{end}n"
    assert api.order(2).json["result"]["zipcode"] == "00501"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_accepts_other_separators_and_column_orders(api, counts_of, separator):
    cells = (
        ["birthday", "zipcode", "state", "email", "name", "id"],
        ["1963-02-27", "10001", "TX", "a@b.de", '"A,b;c"', "1"],
    )
    assert counts_of(api.run_import("\n".join(separator.join(row) for row in cells).encode())) == (1, 0, 0, 0)
    assert api.order(1).json["result"]["name"] == "A,b;c"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("1|Ann|a@b.de|TX|10001", "fields"),
        (f"1|{GOOD}|extra", "fields"),
        (f'1|"{GOOD}', "fields"),
        (f"1|A\0{GOOD}", "nul"),
        (f"|{GOOD}", "id"),
        (f"1.5|{GOOD}", "id"),
        (f"{2**63}|{GOOD}", "id"),
        ("1|Ann|a@b.de|TX|10001|Feb 30, 1990", "birthday"),
        ("1|Ann|a@b.de|TX|10001|2/7/90", "birthday"),
        ("1|Ann|a@b.de|TX|10001|Jan 1, 0001", "birthday"),
        ("1|Ann|a@b.de|TX|10001|Jan 1, 9999", "birthday"),
    ],
    ids=[
        "missing field",
        "additional field",
        "unclosed quote",
        "null character",
        "empty ID",
        "fractional ID",
        "ID beyond 64 bits",
        "nonexistent date",
        "unknown date format",
        "birthday before 1900",
        "birthday in the future",
    ],
)
def test_invalid_row_is_rejected_but_not_its_neighbors(api, counts_of, line, rule):
    status = api.run_import(build_content(f"5|{GOOD}", line, f"6|{GOOD}"))
    assert counts_of(status) == (2, 0, 0, 1)
    assert api.findings(status["task_id"]) == {3: rule}


def test_line_of_ten_megabytes_is_rejected_and_the_import_continues(api, counts_of):
    status = api.run_import(build_content(f"5|{GOOD}", "1|" + "x" * 10_000_000, f"6|{GOOD}"))
    assert counts_of(status) == (2, 0, 0, 1)
    assert api.findings(status["task_id"]) == {3: "too_long"}
    assert len(api.errors(status["task_id"])) < 2000


def test_row_with_an_unclosed_quote_is_rejected_but_not_the_following_rows(api, counts_of):
    rows = [f"{id}|{GOOD}" for id in range(2, 3000)]
    status = api.run_import(build_content('1|"Ann|a@b.de|TX|10001|Feb 27, 1963', *rows))
    assert counts_of(status) == (2998, 0, 0, 1)


@pytest.mark.parametrize("column", ["name", "email", "state", "zipcode"])
def test_row_with_a_very_long_text_is_rejected(api, counts_of, column):
    texts = {"name": "Ann", "email": "a@b.de", "state": "TX", "zipcode": "10001"}
    lines = [
        f"{id}|{'|'.join((texts | {column: text}).values())}|Feb 27, 1963"
        for id, text in enumerate(["ä" * 1000, "😀" * 1001, "a" * 100_000])
    ]
    status = api.run_import(build_content(*lines))
    # Only as a name, the first text is valid.
    assert counts_of(status) == ((1, 0, 0, 2) if column == "name" else (0, 1, 0, 2))
    findings = api.findings(status["task_id"])
    assert (findings[3], findings[4]) == ("length", "length")
    assert f"\r\n{lines[2]}|4|length|" in api.errors(status["task_id"])
    assert api.order(0).json["result"][column] == ("Ä" if column == "state" else "ä") * 1000


@pytest.mark.parametrize("name", ["x.csv", "x.CSV", "../x.csv", "über 😀.csv"])
def test_stored_file_name_is_the_last_component_of_the_path(api, name):
    response = api.send_form(build_content(f"1|{GOOD}"), name)
    assert response.status_code == 202
    assert api.finish(response.json["result"]["task_id"])["file_name"] == name.split("/")[-1]


@pytest.mark.parametrize("name", ["x.csv.exe", "x.xls", "x.zip", "csv", "x.csv "])
def test_file_name_without_csv_extension_is_rejected(api, name, client):
    response = api.send_form(build_content(), name)
    assert response.status_code == 415
    assert response.json["message"] == "only '.csv' files are allowed for upload."
    assert is_nothing_stored(client, api.db)


def is_nothing_stored(client, db):
    with db.transaction() as tx:
        row_count = tx.value("SELECT (SELECT count(*) FROM open_uploads) + (SELECT count(*) FROM upload_chunks)")
    return row_count == 0 and client.get(f"{PATH}/status").json["total"] == 0


@pytest.mark.parametrize("name", ["x" * 5000 + ".csv", "x\x1b.csv"], ids=["too long", "control character"])
def test_file_name_that_is_too_long_or_has_control_characters_is_rejected(api, client, name):
    assert client.put(PATH, query_string={"file_name": name}, data=b"", content_type="text/csv").status_code == 400
    assert is_nothing_stored(client, api.db)


def build_part(disposition, content=b""):
    return b"--x\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\n" + content


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "application/json"),
        (b"csv_file=x", "application/x-www-form-urlencoded"),
        (b"", "multipart/form-data"),
        (b"", "multipart/form-data; boundary=x"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"garbage", "multipart/form-data; boundary=x"),
        (build_part(b'name="csv_file"', b"id\r\n--x--\r\n"), "multipart/form-data; boundary=x"),
        (build_part(b'name="csv_file"; filename=""', b"\r\n--x--\r\n"), "multipart/form-data; boundary=x"),
        (build_part(b'name="csv_file"; filename="a.csv"', b"id"), "multipart/form-data; boundary=x"),
        (b"x", None),
    ],
    ids=[
        "JSON",
        "URL-encoded form",
        "no boundary",
        "empty form",
        "unterminated empty form",
        "boundary not in the body",
        "field without a file name",
        "empty file name",
        "unterminated file",
        "no content type",
    ],
)
def test_request_without_a_file_names_the_required_field(api, client, body, content_type):
    response = client.post(PATH, data=body, content_type=content_type)
    assert response.status_code == 400
    assert list(response.json["message"]) == ["csv_file"]
    assert is_nothing_stored(client, api.db)


def test_repeated_file_field_is_rejected(api, client):
    form = {"csv_file": [(io.BytesIO(b"id"), "a.csv"), (io.BytesIO(b"id"), "b.csv")]}
    response = client.post(PATH, data=form)
    assert (response.status_code, response.json["message"]) == (400, {"csv_file": "csv_file must not be repeated"})
    assert is_nothing_stored(client, api.db)


def test_form_with_too_many_parts_or_a_huge_header_is_rejected(api, client):
    parts = b"".join(b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n' % n for n in range(10_000))
    for body in (parts + b"--x--\r\n", b"--x\r\nContent-Disposition: " + b"y" * 1_000_000):
        assert client.post(PATH, data=body, content_type="multipart/form-data; boundary=x").status_code == 413
        assert is_nothing_stored(client, api.db)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_compressed_body_is_rejected(api, client, encoding):
    headers = {"Content-Encoding": encoding}
    assert client.put(PATH, data=b"\x1f\x8b", content_type="text/csv", headers=headers).status_code == 415
    assert is_nothing_stored(client, api.db)


def test_too_large_file_is_rejected_with_and_without_a_declared_length(settings, db):
    client = create_app(settings.model_copy(update={"largest_upload_bytes": 1000})).test_client()
    declared = client.put(PATH, data=b"x" * 1001, content_type="text/csv")
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": None}
    undeclared = client.put(
        PATH, input_stream=io.BytesIO(b"x" * 100_000), content_type="text/csv", environ_overrides=chunked
    )
    for response in (declared, undeclared):
        assert response.status_code == 413
        assert set(response.json) == {"result", "status_code", "uuid", "message"}
    assert is_nothing_stored(client, db)


@pytest.mark.parametrize("uuid", ["../../tmp/x", "a%0d%0ab", "a b", "x" * 10_000, "é", ""])
def test_malformed_uuid_is_rejected(client, uuid):
    response = client.get(f"{PATH}/status?uuid={uuid}")
    assert response.status_code == 400
    assert "uuid" in response.json["message"]
    assert response.json["uuid"] != uuid
