"""An invalid upload request is rejected with an error in the shape of the contract, and nothing is stored."""

import pytest

from orders_service.app import create_app

PATH = "/acme_orders/api/v1/orders/import"
HEADER = "id|name|email|state|zipcode|birthday\n"
BOUNDARY = "----quintet"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def part(name, content, file_name=None, extra_header=""):
    file_parameter = f'; filename="{file_name}"' if file_name is not None else ""
    disposition = f'Content-Disposition: form-data; name="{name}"{file_parameter}'
    return f"--{BOUNDARY}\r\n{disposition}\r\n{extra_header}\r\n{content}\r\n"


def form(*parts, is_terminated=True):
    return ("".join(parts) + (f"--{BOUNDARY}--\r\n" if is_terminated else "")).encode()


FILE = part("csv_file", HEADER, "a.csv")


@pytest.fixture(autouse=True)
def _nothing_is_stored(client, db):
    yield
    assert client.get(f"{PATH}/status").json["total"] == 0
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM open_uploads") == 0


def assert_rejected(response, *statuses):
    assert response.status_code in statuses, response.text[:500]
    body = response.json
    assert body["status_code"] == response.status_code and body["result"] is None and body["message"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(form(part("another", "1")), id="no file"),
        pytest.param(form(part("csv_file", HEADER)), id="field instead of file"),
        pytest.param(form(part("csv_file", HEADER, "")), id="empty file name"),
        pytest.param(form(FILE, FILE), id="two files"),
        pytest.param(form(FILE, is_terminated=False), id="no terminating boundary"),
        pytest.param(b"", id="empty body"),
        pytest.param(form(FILE).replace(BOUNDARY.encode(), b"another"), id="different boundary"),
        pytest.param(form(*(part(f"p{number}", "") for number in range(10_000)), FILE), id="10,000 parts"),
        pytest.param(form(part("csv_file", HEADER, "a.csv", f"X-Long: {'x' * 1_000_000}\r\n")), id="very long header"),
    ],
)
def test_malformed_form_is_rejected(client, body):
    assert_rejected(client.post(PATH, data=body, content_type=MULTIPART), 400, 413)


@pytest.mark.parametrize(
    ("name", "status"),
    [("x.csv.exe", 415), ("csv", 415), ("a.zip", 415), ("x\ny.csv", 400), ("x" * 5000 + ".csv", 400)],
    ids=lambda value: repr(value)[:12],
)
def test_invalid_file_name_is_rejected(client, name, status):
    response = client.put(PATH, query_string={"file_name": name}, data=HEADER, content_type="text/csv")
    assert_rejected(response, status)


@pytest.mark.parametrize(
    "query",
    [
        "uuid=../../tmp/x",
        "uuid=a%0D%0Ab",
        f"uuid={'a' * 4000}",
        "uuid=",
        "dry_run=maybe",
        "dry_run=1&dry_run=0",
        "x=1",
    ],
    ids=lambda query: query[:20],
)
def test_invalid_query_is_rejected(client, query):
    assert_rejected(client.put(f"{PATH}?{query}", data=HEADER, content_type="text/csv"), 400)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 400),
        ({"Content-Type": "text/plain"}, 400),
        ({"Content-Type": "multipart/form-data"}, 400),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Idempotency-Key": "ü"}, 400),
        ({"Idempotency-Key": "x" * 256}, 400),
    ],
    ids=lambda value: str(value)[:40],
)
def test_invalid_header_is_rejected(client, headers, status):
    assert_rejected(client.put(PATH, data=HEADER, headers={"Content-Type": "text/csv", **headers}), status)


@pytest.mark.parametrize("path", ["status/no-uuid", f"status/{'0' * 5000}", "status/%00", "%2e%2e/errors.csv"])
def test_malformed_task_id_is_not_found(client, path):
    assert client.get(f"{PATH}/{path}").status_code in (400, 404)


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "FOO"])
def test_unsupported_method_is_rejected(client, method):
    assert client.open(PATH, method=method).status_code in (405, 501)


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("en", "the body is larger than 1000 bytes"),
        ("pt", "o corpo tem mais de 1000 bytes"),
        ("es", "el cuerpo tiene más de 1000 bytes"),
    ],
)
def test_limit_of_a_too_large_file_is_stated_in_the_accepted_language(settings, language, message):
    client = create_app(settings.model_copy(update={"largest_upload_bytes": 1000})).test_client()
    response = client.put(PATH, data=b"x" * 1001, content_type="text/csv", headers={"Accept-Language": language})
    assert (response.status_code, response.json["message"]) == (413, message)
