import threading

import pytest

from sequence_service.app import create_app

RANGES = {
    "sequence": (1000, 9999),
    "batch-sequence": (30000, 39999),
    "image-sequence": (1, 999_999_999),
    "json-sequence": (1, 999_999_999),
}


def advance(db, name, count):
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET issued = issued + %(count)s WHERE name = %(name)s", count=count, name=name)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("query", ["", "?n=1", "?n=01"])
def test_new_sequence_starts_at_its_minimum(client, name, query):
    minimum = RANGES[name][0]
    response = client.get(f"/{name}{query}")
    assert response.status_code == 200
    assert response.json == {"sequence_no": minimum, "sequence_list": [minimum]}
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"


def test_response_with_several_numbers_is_contiguous_and_omits_sequence_no(client):
    assert client.get("/sequence?n=3").json == {"sequence_list": [1000, 1001, 1002]}
    assert client.get("/sequence").json["sequence_no"] == 1003


def test_n_of_zero_returns_an_empty_list(client):
    assert client.get("/sequence?n=0").json == {"sequence_list": []}
    assert client.get("/sequence").json["sequence_no"] == 1000


def test_wraps_to_minimum_after_maximum(client, db):
    advance(db, "sequence", 8999)
    assert client.get("/sequence?n=2").json["sequence_list"] == [9999, 1000]


def test_n_may_equal_the_size_of_the_range(client):
    assert len(client.get("/sequence?n=9000").json["sequence_list"]) == 9000
    assert len(client.get("/batch-sequence?n=10000").json["sequence_list"]) == 10000


@pytest.mark.parametrize(
    "query",
    ["n=-1", "n=%2B5", "n=1.5", "n=1_0", "n=%EF%BC%91", "n=%D9%A1", "n=", "n=1&n=1", "n=10001", "n=9001",
     "n=0x10", "n=1e3", "n=%205", "n=9223372036854775808", "n=1" + "0" * 30, "n[]=1", "m=1", "n=%ff"],
)  # fmt: skip
def test_invalid_n_is_rejected_and_consumes_no_number(client, query):
    response = client.get(f"/sequence?{query}")
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json["detail"]
    assert client.get("/sequence").json["sequence_no"] == 1000


@pytest.mark.parametrize("n", ["-1", "%2B5", "1.5", "1_0", "%EF%BC%91", "", "10001", "1" + "0" * 30])
@pytest.mark.parametrize(("name", "limit"), [("sequence", 9000), ("batch-sequence", 10_000), ("json-sequence", 10_000)])
def test_message_about_an_invalid_n_states_the_limit(client, name, n, limit):
    message = f"must be an integer between 0 and {limit} in plain digits"
    assert client.get(f"/{name}?n={n}").json["errors"] == [{"field": "n", "message": message}]


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH"])
def test_unsupported_method_returns_405_and_consumes_no_number(client, method):
    response = client.open("/sequence", method=method)
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert client.get("/sequence").json["sequence_no"] == 1000


def test_options_consumes_no_number(client):
    assert client.options("/sequence").status_code == 200
    assert client.get("/sequence").json["sequence_no"] == 1000


def test_concurrent_requests_to_two_replicas_get_distinct_numbers_without_gaps(db, settings):
    apps = [create_app(settings), create_app(settings)]
    issued: list[int] = []
    lock = threading.Lock()

    def request_numbers(app):
        client = app.test_client()
        responses = [client.get(f"/json-sequence?n={n}") for n in (1, 3, 1, 7, 1)]
        with lock:
            issued.extend(number for response in responses for number in response.json["sequence_list"])

    threads = [threading.Thread(target=request_numbers, args=(apps[i % 2],)) for i in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(issued) == list(range(1, 32 * 13 + 1))
    for app in apps:
        app.database.close()


def test_concurrent_requests_at_the_wrap_around_get_distinct_numbers(db, settings):
    app = create_app(settings)
    advance(db, "sequence", 8990)
    issued: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: issued.append(app.test_client().get("/sequence?n=4").json["sequence_list"]))
        for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [number for batch in issued for number in batch]
    assert len(set(numbers)) == 200
    assert set(numbers) == {*range(9990, 10000), *range(1000, 1190)}
    app.database.close()


def test_wrapped_event_names_the_request_that_caused_it(client, db, outbox):
    advance(db, "sequence", 8999)
    client.get("/sequence", headers={"X-Request-ID": "req-1"})
    ((type_, body),) = outbox()
    assert type_ == "SequenceWrapped"
    assert body["event"] == {"name": "SequenceWrapped", "version": 1}
    assert body["payload"] == {"name": "sequence", "cycles": 1}
    assert body["trigger"] == {"type": "request", "name": "req-1"}
    assert body["system"]["id"] == "sequence"
    assert body["system"]["name"] == "sequence-service"
    client.get("/sequence")
    assert len(outbox()) == 1
