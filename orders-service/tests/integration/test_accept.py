"""From the last byte of a file to the 202: one effect, whatever is repeated."""

import http.server
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from orders_service.app import create_app
from orders_service.handlers import number_batches

PATH = "/acme_orders/api/v1/orders/import"


@pytest.fixture
def content(a_file, an_order):
    return a_file(an_order(1))


def test_the_same_key_and_file_is_one_import(api, content, outbox):
    first = api.upload(content, "?file_name=a.csv", Idempotency_Key="k")
    again = api.upload(content, "?file_name=a.csv", Idempotency_Key="k")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert [name for name, _ in outbox()] == ["OrdersImportStarted", "orders.import"]


def test_a_form_is_the_same_whatever_its_boundary(api, client, content):
    answers = [
        client.post(
            PATH,
            data=b"--%s\r\nContent-Disposition: form-data; name=csv_file; filename=a.csv\r\n\r\n%s\r\n--%s--\r\n"
            % (boundary, content, boundary),
            content_type=f"multipart/form-data; boundary={boundary.decode()}",
            headers={"Idempotency-Key": "k"},
        )
        for boundary in (b"one", b"other")
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json == answers[1].json


@pytest.mark.parametrize("other", [("other", "?file_name=a.csv"), ("", "?file_name=b.csv"), ("", "?dry_run=1")])
def test_the_same_key_for_something_else_is_refused(api, client, content, other):
    more, query = other
    api.upload(content, "?file_name=a.csv", Idempotency_Key="k")
    assert api.upload(content + more.encode(), query, Idempotency_Key="k").status_code == 422
    assert client.get(f"{PATH}/status").json["total"] == 1
    with api.db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM uploads") == 0


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256])
def test_a_key_must_be_plain(api, content, key):
    refused = api.upload(content, Idempotency_Key=key.encode().decode("latin-1"))
    assert refused.status_code == 400
    assert "Idempotency-Key" in refused.json["message"]


def test_after_an_error_the_key_is_free(api, content):
    assert api.upload(content, "?file_name=a.txt", Idempotency_Key="k").status_code == 415
    assert api.upload(content, Idempotency_Key="k").status_code == 202


def test_fifty_at_once_with_one_key_are_one_import(app, client, db, content):
    def send(_):
        return app.test_client().put(PATH, data=content, content_type="text/csv", headers={"Idempotency-Key": "k"})

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(send, range(50)))
    # Those for whom there was no slot try again later.
    assert {answer.status_code for answer in answers} <= {202, 409, 503}
    assert len({answer.json["result"]["task_id"] for answer in answers if answer.status_code == 202}) == 1
    assert client.get(f"{PATH}/status").json["total"] == 1


class Sequences:
    """sequence-service as far as its contract goes for a key: the same number again."""

    def __init__(self):
        self.keys, self.slow = {}, threading.Event()
        sequences = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                key = self.headers["Idempotency-Key"]
                number = sequences.keys.setdefault(key, 30000 + len(sequences.keys))
                if sequences.slow.is_set():
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
def sequences():
    running = Sequences()
    yield running
    running.close()


def test_the_number_of_the_batch_comes_from_sequence_service(settings, db, sequences, content):
    client = create_app(settings.model_copy(update={"sequence_url": sequences.url})).test_client()
    answers = [client.put(PATH, data=content, content_type="text/csv").json["result"] for _ in range(2)]
    assert [answer["batch_no"] for answer in answers] == [30000, 30001]
    assert client.get(f"{PATH}/status/{answers[1]['task_id']}").json["result"]["batch_no"] == 30001


def test_an_answer_that_was_lost_costs_no_second_number(settings, db, sequences, content):
    client = create_app(settings.model_copy(update={"sequence_url": sequences.url})).test_client()
    sequences.slow.set()
    task = client.put(PATH, data=content, content_type="text/csv").json["result"]
    assert task["batch_no"] is None
    sequences.slow.clear()
    with db.transaction() as tx:
        number_batches(tx, sequences.url)
    assert client.get(f"{PATH}/status/{task['task_id']}").json["result"]["batch_no"] == 30000
    assert len(sequences.keys) == 1


def test_without_sequence_service_the_import_goes_on_and_is_numbered_later(api, content, sequences):
    task = api.accepted(content)
    assert api.status(task)["batch_no"] is None
    with api.db.transaction() as tx:
        number_batches(tx, "http://127.0.0.1:9")
    assert api.finish(task)["status"] == "SUCCESS"
    with api.db.transaction() as tx:
        number_batches(tx, sequences.url)
    assert api.status(task)["batch_no"] == 30000
