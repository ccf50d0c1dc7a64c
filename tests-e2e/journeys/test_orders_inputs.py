"""Bad files and bad requests to orders-service, through the gateway: refused in its shape, and nothing is left."""

import pytest

from quintet_e2e import orders
from quintet_e2e.faults import assert_healed
from quintet_e2e.sockets import exchange, unfinished_uploads
from quintet_testing.waiting import eventually

IMPORT = f"{orders.API}/import"
HEADER = "id|name|email|state|zipcode|birthday\n"
PERSON = "Ann|ann@example.com|IA|05130|Jan 1, 1980"
BOUNDARY = "----quintet"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(name, content, file_name=None, more=""):
    named = f'; filename="{file_name}"' if file_name is not None else ""
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n{more}\r\n{content}\r\n'


def form(*parts, ended=True):
    return ("".join(parts) + (f"--{BOUNDARY}--\r\n" if ended else "")).encode()


FILE = part("csv_file", HEADER, "a.csv")
BAD_FORMS = {
    "no file": form(part("another", "1")),
    "a field, no file": form(part("csv_file", HEADER)),
    "no name": form(part("csv_file", HEADER, "")),
    "two files": form(FILE, FILE),
    "no end": form(FILE, ended=False),
    "nothing": b"",
    "another boundary": form(FILE).replace(BOUNDARY.encode(), b"another"),
    "10,000 parts": form(*(part(f"p{number}", "") for number in range(10_000)), FILE),
    "an endless header": form(part("csv_file", HEADER, "a.csv", f"X-Long: {'x' * 1_000_000}\r\n")),
}
BAD_NAMES = {"x.csv.exe": 415, "csv": 415, "a.zip": 415, "x\ny.csv": 400, "x" * 5000 + ".csv": 400}
BAD_QUERIES = [
    "uuid=../../tmp/x",
    "uuid=a%0D%0Ab",
    f"uuid={'a' * 4000}",
    "uuid=",
    "dry_run=maybe",
    "dry_run=1&dry_run=0",
    "x=1",
]
BAD_HEADERS = [
    ({"Content-Type": "application/json"}, 400),
    ({"Content-Type": "text/plain"}, 400),
    ({"Content-Type": "multipart/form-data"}, 400),
    ({**orders.CSV, "Content-Encoding": "gzip"}, 415),
    ({**orders.CSV, "Idempotency-Key": "ü"}, 400),
    ({**orders.CSV, "Idempotency-Key": "x" * 256}, 400),
]


@pytest.fixture(autouse=True)
def _nothing_is_left(stack, client):
    before = imports(client)
    yield
    assert imports(client) == before
    assert orders.ask_database(stack, "SELECT count(*) FROM orders.uploads") == [(0,)]


def imports(client):
    return client.get(f"{IMPORT}/status").json()["total"]


def assert_refused(answer, *statuses):
    assert answer.status_code in statuses, answer.text[:500]
    body = answer.json()
    assert body["status_code"] == answer.status_code and body["result"] is None and body["message"]


@pytest.mark.parametrize("kind", BAD_FORMS)
def test_a_form_that_is_none_or_holds_no_file_or_too_much(client, kind):
    assert_refused(client.post(IMPORT, data=BAD_FORMS[kind], headers=MULTIPART), 400, 413)


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name[:12]))
def test_a_name_that_is_none_of_a_csv_file(client, name):
    answer = client.put(IMPORT, params={"file_name": name}, data=HEADER, headers=orders.CSV)
    assert_refused(answer, BAD_NAMES[name])


@pytest.mark.parametrize("query", BAD_QUERIES, ids=lambda query: query[:20])
def test_a_query_that_is_wrong(client, query):
    assert_refused(client.put(f"{IMPORT}?{query}", data=HEADER, headers=orders.CSV), 400)


@pytest.mark.parametrize("headers,status", BAD_HEADERS, ids=lambda value: str(value)[:40])
def test_headers_that_are_wrong(client, headers, status):
    encoded = {name: value.encode() for name, value in headers.items()}
    assert_refused(client.put(IMPORT, data=HEADER, headers=encoded), status)


@pytest.mark.parametrize(
    "path", ["status/no-uuid", f"status/{'0' * 5000}", "status/%00", "../x/errors.csv", "%2e%2e/errors.csv"]
)
def test_an_import_that_there_cannot_be(client, path):
    answer = client.get(f"{IMPORT}/{path}")
    assert answer.status_code in (400, 404), answer.text


def test_other_methods_are_refused(client):
    for method in ("PATCH", "DELETE", "FOO"):
        assert client.send(method, IMPORT).status_code in (405, 501), method


def test_uploads_that_break_off_leave_nothing(stack, client):
    with unfinished_uploads(client, IMPORT, 6):
        eventually(lambda: orders.ask_database(stack, "SELECT count(*) > 0 FROM orders.uploads") == [(True,)])
    left = "SELECT (SELECT count(*) FROM orders.uploads), (SELECT count(*) FROM orders.blocks)"
    eventually(lambda: orders.ask_database(stack, left) == [(0, 0)], 30)
    assert_healed(stack)


@pytest.mark.parametrize("chunk", ["zz", "-1", "fffffffffffffffff", "5\r\nabcdefgh"], ids=repr)
def test_chunks_of_a_wrong_size(client, chunk):
    status = exchange(
        client, "PUT", IMPORT, {**orders.CSV, "Transfer-Encoding": "chunked"}, f"{chunk}\r\n{HEADER}\r\n".encode()
    )
    assert status in (400, 408, 413, None)


def test_a_refusal_is_heard_by_who_sends_much(client):
    content = b"x" * 8_000_000
    for _ in range(5):
        answer = client.put(IMPORT, params={"file_name": "orders.zip"}, data=content, headers=orders.CSV)
        assert_refused(answer, 415)
