"""What comes as a CSV file and is none, or is an odd one."""

import io

import pytest

PATH = "/acme_orders/api/v1/orders/import"
GOOD = "Ann|ann@example.com|TX|10001|Feb 27, 1963"
HEADER = "id|name|email|state|zipcode|birthday"


def text_of(*lines, end="\n"):
    return end.join([HEADER, *lines, ""]).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text_of(f"1|{GOOD}").decode().encode("utf-16"), "the file is no text"),
        (b"PK\x03\x04" + b"\0" * 100, "the file is no text"),
        (b"\x1f\x8b\x08" + b"\xff" * 100, "the file is no text"),
        (b"\0" * 2_000_000, "the file is no text"),
        (f"1|{GOOD}\n2|{GOOD}\n".encode(), "the header lacks a column: id"),
        (text_of(f"1|{GOOD}", end="\r"), "the file is no text"),
        (b"id|name|email|state|zipcode|birthday|id\n", "the header has a column twice: id"),
        (b"id|name|email|state|zipcode|birthday|" + b"x" * 300_000, "the header has an unknown column: xxx"),
    ],
)
def test_a_file_without_a_header_fails_and_is_told_why(api, content, message):
    status = api.imported(content)
    assert (status["status"], status["current"]) == ("FAILURE", 0)
    assert status["message"].startswith(message)
    assert api.errors(status["task_id"]).count("\n") == 1


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_a_byte_order_mark_make_no_difference(api, counted, end, last):
    content = b"\xef\xbb\xbf" + text_of(
        f"1|{GOOD}", f'2|"An{end}n"|a@b.de|TX|00501|1963-02-27', "", f"3|{GOOD}", end=end
    )
    assert counted(api.imported(content if last else content[: -len(end)])) == (3, 0, 0, 0)
    assert api.order(2).json["result"]["name"] == f"An{end}n"
    assert api.order(2).json["result"]["zipcode"] == "00501"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_other_separators_and_permuted_columns(api, counted, separator):
    cells = (
        ["birthday", "zipcode", "state", "email", "name", "id"],
        ["1963-02-27", "10001", "TX", "a@b.de", '"A,b;c"', "1"],
    )
    assert counted(api.imported("\n".join(separator.join(row) for row in cells).encode())) == (1, 0, 0, 0)
    assert api.order(1).json["result"]["name"] == "A,b;c"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("1|Ann|a@b.de|TX|10001", "fields"),
        (f"1|{GOOD}|more", "fields"),
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
)
def test_a_row_that_is_no_order_is_rejected_alone(api, counted, line, rule):
    status = api.imported(text_of(f"5|{GOOD}", line, f"6|{GOOD}"))
    assert counted(status) == (2, 0, 0, 1)
    assert api.findings(status["task_id"]) == {3: rule}


def test_bytes_that_are_no_text_are_rejected_and_shown_as_such(api, counted):
    status = api.imported(text_of(f"5|{GOOD}") + b"1|J\xf6rg|a@b.de|TX|10001|Feb 27, 1963\n")
    assert counted(status) == (1, 0, 0, 1)
    assert "1|J\ufffdrg|a@b.de|TX|10001|Feb 27, 1963|3|encoding|bytes that are no UTF-8" in api.errors(
        status["task_id"]
    )


def test_a_line_of_ten_megabytes_is_rejected_and_the_rest_goes_on(api, counted):
    status = api.imported(text_of(f"5|{GOOD}", "1|" + "x" * 10_000_000, f"6|{GOOD}"))
    assert counted(status) == (2, 0, 0, 1)
    assert api.findings(status["task_id"]) == {3: "too_long"}
    assert len(api.errors(status["task_id"])) < 2000


def test_quotes_that_are_never_closed_cost_one_line(api, counted):
    rows = [f"{id}|{GOOD}" for id in range(2, 3000)]
    status = api.imported(text_of('1|"Ann|a@b.de|TX|10001|Feb 27, 1963', *rows))
    assert counted(status) == (2998, 0, 0, 1)


def test_an_address_of_a_hundred_thousand_letters_is_judged(api, counted):
    status = api.imported(text_of("1|Ann|" + "a" * 100_000 + "@|TX|10001|Feb 27, 1963"))
    assert counted(status) == (0, 1, 0, 0)
    assert api.findings(status["task_id"]) == {2: "email_pattern"}


@pytest.mark.parametrize("name", ["x.csv", "x.CSV", "../x.csv", "über 😀.csv"])
def test_names_that_are_taken_are_the_last_part_of_a_path(api, name):
    response = api.send_form(text_of(f"1|{GOOD}"), name)
    assert response.status_code == 202
    assert api.finish(response.json["result"]["task_id"])["file_name"] == name.split("/")[-1]


@pytest.mark.parametrize("name", ["x.csv.exe", "x.xlsx", "x.zip", "csv", "x.csv "])
def test_other_names_are_refused(api, name, client):
    refused = api.send_form(text_of(), name)
    assert refused.status_code == 415
    assert refused.json["message"] == "only '.csv' files are allowed for upload."
    assert nothing_is_left(client, api.db)


def nothing_is_left(client, db):
    with db.transaction() as tx:
        left = tx.value("SELECT (SELECT count(*) FROM uploads) + (SELECT count(*) FROM blocks)")
    return left == 0 and client.get(f"{PATH}/status").json["total"] == 0


@pytest.mark.parametrize("name", ["x" * 5000 + ".csv", "x\x1b.csv"])
def test_names_that_nobody_can_read_are_refused(api, client, name):
    assert client.put(PATH, query_string={"file_name": name}, data=b"", content_type="text/csv").status_code == 400
    assert nothing_is_left(client, api.db)


def a_part(disposition, content=b""):
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
        (a_part(b'name="csv_file"', b"id\r\n--x--\r\n"), "multipart/form-data; boundary=x"),
        (a_part(b'name="csv_file"; filename=""', b"\r\n--x--\r\n"), "multipart/form-data; boundary=x"),
        (a_part(b'name="csv_file"; filename="a.csv"', b"id"), "multipart/form-data; boundary=x"),
        (b"x", None),
    ],
)
def test_a_request_without_a_file_names_the_field(api, client, body, content_type):
    refused = client.post(PATH, data=body, content_type=content_type)
    assert refused.status_code == 400
    assert list(refused.json["message"]) == ["csv_file"]
    assert nothing_is_left(client, api.db)


def test_two_files_in_one_form_are_refused(api, client):
    twice = {"csv_file": [(io.BytesIO(b"id"), "a.csv"), (io.BytesIO(b"id"), "b.csv")]}
    refused = client.post(PATH, data=twice)
    assert (refused.status_code, refused.json["message"]) == (400, {"csv_file": "csv_file is given twice"})
    assert nothing_is_left(client, api.db)


def test_ten_thousand_parts_and_an_endless_header_are_refused(api, client):
    parts = b"".join(b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n' % n for n in range(10_000))
    for body in (parts + b"--x--\r\n", b"--x\r\nContent-Disposition: " + b"y" * 1_000_000):
        assert client.post(PATH, data=body, content_type="multipart/form-data; boundary=x").status_code == 413
        assert nothing_is_left(client, api.db)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_packed_bodies_are_refused(api, client, encoding):
    headers = {"Content-Encoding": encoding}
    assert client.put(PATH, data=b"\x1f\x8b", content_type="text/csv", headers=headers).status_code == 415
    assert nothing_is_left(client, api.db)


def test_a_file_that_is_too_large_is_refused_before_and_while_it_comes(settings, db):
    from orders_service.app import create_app

    small = create_app(settings.model_copy(update={"largest_upload_bytes": 1000})).test_client()
    told = small.put(PATH, data=b"x" * 1001, content_type="text/csv")
    endless = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": None}
    found = small.put(PATH, input_stream=io.BytesIO(b"x" * 100_000), content_type="text/csv", environ_overrides=endless)
    for refused in (told, found):
        assert refused.status_code == 413
        assert set(refused.json) == {"result", "status_code", "uuid", "message"}
    assert nothing_is_left(small, db)


@pytest.mark.parametrize("uuid", ["../../tmp/x", "a%0d%0ab", "a b", "x" * 10_000, "é", ""])
def test_an_id_of_the_request_is_plain_or_refused(client, uuid):
    refused = client.get(f"{PATH}/status?uuid={uuid}")
    assert refused.status_code == 400
    assert "uuid" in refused.json["message"]
    assert refused.json["uuid"] != uuid
