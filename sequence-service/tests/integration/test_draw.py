import threading

import pytest

from sequence_service.app import create_app

RANGES = {
    "sequence": (1000, 9999),
    "batch-sequence": (30000, 39999),
    "image-sequence": (1, 999_999_999),
    "json-sequence": (1, 999_999_999),
}


def issue(db, name, count):
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET issued = issued + %(count)s WHERE name = %(name)s", count=count, name=name)


@pytest.mark.parametrize("name", RANGES)
def test_a_fresh_sequence_starts_at_its_minimum(client, name):
    minimum = RANGES[name][0]
    response = client.get(f"/{name}")
    assert response.status_code == 200
    assert response.json == {"sequence_no": minimum, "sequence_list": [minimum]}
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"


def test_a_list_is_contiguous_and_has_no_single_number(client):
    assert client.get("/sequence?n=3").json == {"sequence_list": [1000, 1001, 1002]}
    assert client.get("/sequence").json["sequence_no"] == 1003


def test_none_is_an_empty_list(client):
    assert client.get("/sequence?n=0").json == {"sequence_list": []}
    assert client.get("/sequence").json["sequence_no"] == 1000


def test_after_the_maximum_comes_the_minimum(client, db):
    issue(db, "sequence", 8999)
    assert client.get("/sequence?n=2").json["sequence_list"] == [9999, 1000]


def test_a_draw_may_be_as_large_as_the_range(client):
    assert len(client.get("/sequence?n=9000").json["sequence_list"]) == 9000
    assert len(client.get("/batch-sequence?n=10000").json["sequence_list"]) == 10000


@pytest.mark.parametrize(
    "query",
    ["n=-1", "n=%2B5", "n=1.5", "n=1_0", "n=%EF%BC%91", "n=%D9%A1", "n=", "n=1&n=1", "n=10001", "n=9001",
     "n=0x10", "n=1e3", "n=%205", "n=9223372036854775808", "n=1" + "0" * 30, "n[]=1", "m=1", "n=%ff"],
)  # fmt: skip
def test_a_wrong_count_is_told_and_uses_up_no_number(client, query):
    response = client.get(f"/sequence?{query}")
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json["detail"]
    assert client.get("/sequence").json["sequence_no"] == 1000


@pytest.mark.parametrize(("path", "limit"), [("/sequence?n=9001", "9000"), ("/batch-sequence?n=10001", "10000")])
def test_a_count_that_is_too_large_names_the_limit(client, path, limit):
    assert limit in client.get(path).json["detail"]


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH"])
def test_another_method_is_405_and_costs_no_number(client, method):
    response = client.open("/sequence", method=method)
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert client.get("/sequence").json["sequence_no"] == 1000


def test_options_costs_no_number(client):
    assert client.options("/sequence").status_code == 200
    assert client.get("/sequence").json["sequence_no"] == 1000


def test_many_at_once_over_two_replicas_get_different_numbers_and_waste_none(db, settings):
    apps = [create_app(settings), create_app(settings)]
    drawn: list[int] = []
    lock = threading.Lock()

    def take(app):
        client = app.test_client()
        mine = [number for n in (1, 3, 1, 7, 1) for number in client.get(f"/json-sequence?n={n}").json["sequence_list"]]
        with lock:
            drawn.extend(mine)

    threads = [threading.Thread(target=take, args=(apps[i % 2],)) for i in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(drawn) == list(range(1, 32 * 13 + 1))
    for app in apps:
        app.database.close()


def test_takers_at_a_wrap_share_the_range_without_a_number_twice(db, settings):
    app = create_app(settings)
    issue(db, "sequence", 8990)
    drawn: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: drawn.append(app.test_client().get("/sequence?n=4").json["sequence_list"]))
        for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [number for taken in drawn for number in taken]
    assert len(set(numbers)) == 200
    assert set(numbers) == {*range(9990, 10000), *range(1000, 1190)}
    app.database.close()


def test_a_wrap_is_told_with_the_request_that_caused_it(client, db, outbox):
    issue(db, "sequence", 8999)
    client.get("/sequence", headers={"X-Request-ID": "it-was-me"})
    ((type_, body),) = outbox()
    assert type_ == "SequenceWrapped"
    assert body["event"] == {"name": "SequenceWrapped", "version": 1}
    assert body["payload"] == {"name": "sequence", "cycles": 1}
    assert body["trigger"] == {"type": "request", "name": "it-was-me"}
    assert body["system"]["id"] == "sequence"
    assert body["system"]["name"] == "sequence-service"
    client.get("/sequence")
    assert len(outbox()) == 1
