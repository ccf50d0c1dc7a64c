"""Accepting uploads: exactly one import per idempotency key, and its batch number."""

import http.server
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from orders_service.app import create_app
from orders_service.handlers import assign_batch_numbers

PATH = "/acme_orders/api/v1/orders/import"


@pytest.fixture
def content(build_csv, build_row):
    return build_csv(build_row(1))


def test_repeated_key_and_file_is_one_import(api, content, outbox):
    first = api.upload(content, "?file_name=a.csv", Idempotency_Key="k")
    replayed = api.upload(content, "?file_name=a.csv", Idempotency_Key="k")
    assert (first.status_code, replayed.status_code) == (202, 202)
    assert replayed.json == first.json
    assert replayed.headers["Location"] == first.headers["Location"]
    assert (first.headers.get("Idempotent-Replayed"), replayed.headers["Idempotent-Replayed"]) == (None, "true")
    assert [name for name, _ in outbox()] == ["OrdersImportStarted", "orders.import"]


def test_form_with_another_boundary_is_the_same_request(api, client, content):
    responses = [
        client.post(
            PATH,
            data=b"--%s\r\nContent-Disposition: form-data; name=csv_file; filename=a.csv\r\n\r\n%s\r\n--%s--\r\n"
            % (boundary, content, boundary),
            content_type=f"multipart/form-data; boundary={boundary.decode()}",
            headers={"Idempotency-Key": "k"},
        )
        for boundary in (b"one", b"other")
    ]
    assert [response.status_code for response in responses] == [202, 202]
    assert responses[0].json == responses[1].json


@pytest.mark.parametrize(
    ("suffix", "query"),
    [("x", "?file_name=a.csv"), ("", "?file_name=b.csv"), ("", "?dry_run=1")],
    ids=["content", "file name", "dry run"],
)
def test_key_of_a_different_request_is_rejected(api, client, content, suffix, query):
    api.upload(content, "?file_name=a.csv", Idempotency_Key="k")
    assert api.upload(content + suffix.encode(), query, Idempotency_Key="k").status_code == 422
    assert client.get(f"{PATH}/status").json["total"] == 1
    with api.db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM open_uploads") == 0


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256])
def test_malformed_key_is_rejected(api, content, key):
    response = api.upload(content, Idempotency_Key=key.encode().decode("latin-1"))
    assert response.status_code == 400
    assert "Idempotency-Key" in response.json["message"]


def test_key_can_be_reused_after_an_error(api, content):
    assert api.upload(content, "?file_name=a.txt", Idempotency_Key="k").status_code == 415
    assert api.upload(content, Idempotency_Key="k").status_code == 202


def test_concurrent_requests_with_one_key_are_one_import(app, client, db, content):
    def send(_):
        return app.test_client().put(PATH, data=content, content_type="text/csv", headers={"Idempotency-Key": "k"})

    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(send, range(50)))
    # Requests that get neither a connection nor the key in time must be retried.
    assert {response.status_code for response in responses} <= {202, 409, 503}
    assert len({response.json["result"]["task_id"] for response in responses if response.status_code == 202}) == 1
    assert client.get(f"{PATH}/status").json["total"] == 1


class FakeSequenceService:
    """A fake sequence-service that issues the same number again for the same idempotency key."""

    def __init__(self):
        self.keys, self.is_silent = {}, threading.Event()
        sequence_service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                key = self.headers["Idempotency-Key"]
                number = sequence_service.keys.setdefault(key, 30000 + len(sequence_service.keys))
                if sequence_service.is_silent.is_set():
                    return
                body = json.dumps({"sequence_list": [number], "formatted": [str(number)]}).encode()
                self.send_response(200 if self.path == "/sequences/batch-sequence/next" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def sequence_service(monkeypatch):
    # On a busy machine, even a request to this process may take a second.
    monkeypatch.setattr("orders_service.clients._READ_TIMEOUT_SECONDS", 60)
    service = FakeSequenceService()
    yield service
    service.close()


def test_batch_number_is_issued_by_sequence_service(settings, db, sequence_service, content):
    client = create_app(settings.model_copy(update={"sequence_url": sequence_service.url})).test_client()
    tasks = [client.put(PATH, data=content, content_type="text/csv").json["result"] for _ in range(2)]
    assert [task["batch_no"] for task in tasks] == [30000, 30001]
    assert client.get(f"{PATH}/status/{tasks[1]['task_id']}").json["result"]["batch_no"] == 30001


def test_retry_after_a_lost_response_issues_the_same_number(settings, db, sequence_service, content):
    client = create_app(settings.model_copy(update={"sequence_url": sequence_service.url})).test_client()
    sequence_service.is_silent.set()
    task = client.put(PATH, data=content, content_type="text/csv").json["result"]
    assert task["batch_no"] is None
    sequence_service.is_silent.clear()
    with db.transaction() as tx:
        assign_batch_numbers(tx, sequence_service.url)
    assert client.get(f"{PATH}/status/{task['task_id']}").json["result"]["batch_no"] == 30000
    assert len(sequence_service.keys) == 1


def test_import_without_sequence_service_is_numbered_later(api, content, sequence_service):
    task = api.start_import(content)
    assert api.status(task)["batch_no"] is None
    with api.db.transaction() as tx:
        assign_batch_numbers(tx, "http://127.0.0.1:9")
    assert api.finish(task)["status"] == "SUCCESS"
    with api.db.transaction() as tx:
        assign_batch_numbers(tx, sequence_service.url)
    assert api.status(task)["batch_no"] == 30000
