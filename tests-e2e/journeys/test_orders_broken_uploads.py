"""Uploads to orders-service that only a real connection can break are rejected and leave no data.

Requests with invalid content are tested in orders-service itself.
"""

import pytest

from quintet_e2e import orders
from quintet_e2e.faults import assert_recovered
from quintet_e2e.sockets import send_raw, unfinished_uploads
from quintet_testing.waiting import eventually

pytestmark = pytest.mark.slow

IMPORT = f"{orders.API}/import"
HEADER = "id|name|email|state|zipcode|birthday\n"


@pytest.fixture(autouse=True)
def _no_data_is_left(stack, client):
    before = count_imports(client)
    yield
    assert count_imports(client) == before
    # The service may still be deleting an upload whose connection was closed without a response.
    eventually(lambda: orders.query_database(stack, "SELECT count(*) FROM orders.open_uploads") == [(0,)])


def count_imports(client):
    return client.get(f"{IMPORT}/status").json()["total"]


def test_interrupted_uploads_leave_nothing(stack, client):
    with unfinished_uploads(client, IMPORT, 6):
        eventually(lambda: orders.query_database(stack, "SELECT count(*) > 0 FROM orders.open_uploads") == [(True,)])
    remaining = "SELECT (SELECT count(*) FROM orders.open_uploads), (SELECT count(*) FROM orders.upload_chunks)"
    eventually(lambda: orders.query_database(stack, remaining) == [(0, 0)])
    assert_recovered(stack)


@pytest.mark.parametrize("chunk", ["zz", "-1", "fffffffffffffffff", "5\r\nabcdefgh"], ids=repr)
def test_chunk_of_invalid_size_is_rejected(client, chunk):
    status = send_raw(
        client, "PUT", IMPORT, {**orders.CSV, "Transfer-Encoding": "chunked"}, f"{chunk}\r\n{HEADER}\r\n".encode()
    )
    assert status in (400, 408, 413, None)


def test_client_with_large_body_receives_rejection(client):
    content = b"x" * 8_000_000
    for _ in range(5):
        response = client.put(IMPORT, params={"file_name": "orders.zip"}, data=content, headers=orders.CSV)
        assert response.status_code == 415, response.text[:500]
        body = response.json()
        assert (body["status_code"], body["result"]) == (415, None) and body["message"]
