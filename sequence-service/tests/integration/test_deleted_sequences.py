"""A deleted sequence: its name stays reserved, and no number of it is issued twice."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

SPEC = {"minimum": 1, "maximum": 100_000, "cycle": False, "format": "INV-{:05d}"}


@pytest.fixture
def put(client):
    return lambda **change: client.put("/sequences/inv", json={**SPEC, **change})


@pytest.fixture
def take(client):
    return lambda n=1, **headers: client.post("/sequences/inv/next", json={"n": n}, headers=headers)


def delete(client):
    assert client.delete("/sequences/inv").status_code == 204


def test_a_deleted_sequence_does_not_exist_for_any_request(client, put, take):
    put()
    take(3)
    delete(client)
    assert client.get("/sequences/inv").status_code == 404
    assert take().status_code == 404
    assert client.delete("/sequences/inv").status_code == 404
    listed = client.get("/sequences").json
    assert listed["total"] == 4
    assert "inv" not in [sequence["name"] for sequence in listed["sequences"]]


def test_an_identical_put_revives_it_where_it_stopped(client, put, take):
    put()
    take(3)
    delete(client)
    revived = put()
    assert revived.status_code == 201
    assert (revived.json["last"], revived.json["next"]) == (3, 4)
    assert put().status_code == 200
    assert take(2).json["sequence_list"] == [4, 5]


def test_an_identical_definition_may_leave_out_the_defaults(client):
    for status in (201, 201):
        assert client.put("/sequences/short", json={"minimum": 1, "maximum": 9}).status_code == status
        client.delete("/sequences/short")
    assert client.put("/sequences/short", json={"minimum": 1, "maximum": 9, "cycle": False}).status_code == 201


def test_an_exhausted_sequence_is_exhausted_when_it_is_revived(client):
    client.put("/sequences/few", json={"minimum": 1, "maximum": 2})
    client.post("/sequences/few/next", json={"n": 2})
    client.delete("/sequences/few")
    assert client.put("/sequences/few", json={"minimum": 1, "maximum": 2}).json["next"] is None
    assert client.post("/sequences/few/next").status_code == 409


@pytest.mark.parametrize("change", [{"minimum": 0}, {"maximum": 99}, {"cycle": True}, {"format": "{}"}])
def test_a_different_definition_of_a_reserved_name_is_409_and_changes_nothing(client, put, take, change):
    put()
    take(3)
    delete(client)
    response = put(**change)
    assert response.status_code == 409
    assert "deleted" in response.json["detail"]
    assert "minimum 1, maximum 100000, cycle false, format INV-{:05d}" in response.json["detail"]
    assert client.get("/sequences/inv").status_code == 404
    assert put().json["next"] == 4


def test_the_built_in_four_cannot_be_deleted(client):
    for name in ("sequence", "batch-sequence", "image-sequence", "json-sequence"):
        assert client.delete(f"/sequences/{name}").status_code == 409
        assert client.get(f"/sequences/{name}").status_code == 200


def test_a_key_from_before_the_deletion_replays_its_issue_and_issues_nothing(client, put, take):
    put()
    first = take(2, **{"Idempotency-Key": "k"})
    delete(client)
    replayed = take(2, **{"Idempotency-Key": "k"})
    assert (replayed.status_code, replayed.json) == (200, first.json)
    assert replayed.headers["Idempotent-Replayed"] == "true"
    put()
    assert take(2, **{"Idempotency-Key": "k"}).json == first.json
    assert take().json["sequence_list"] == [3]


def test_a_new_key_is_not_used_up_while_the_sequence_is_deleted(client, put, take):
    put()
    delete(client)
    assert take(1, **{"Idempotency-Key": "new"}).status_code == 404
    put()
    response = take(1, **{"Idempotency-Key": "new"})
    assert response.json["sequence_list"] == [1]
    assert "Idempotent-Replayed" not in response.headers


def test_no_number_is_issued_twice_while_it_is_deleted_and_revived(app, client, put):
    """Two clients each draw, delete and revive concurrently: every number was issued once, without a gap."""
    put()
    numbers, statuses = [], Counter()
    finished = threading.Event()

    def draw():
        own = app.test_client()
        while len(numbers) < 300 or statuses["PUT", 201] < 20:
            response = own.post("/sequences/inv/next", json={"n": 2})
            statuses["next", response.status_code] += 1
            if response.status_code == 200:
                numbers.extend(response.json["sequence_list"])

    def repeat(method, **body):
        own = app.test_client()
        while not finished.is_set():
            response = own.open("/sequences/inv", method=method, **body)
            statuses[method, response.status_code] += 1

    with ThreadPoolExecutor(6) as pool:
        others = [pool.submit(repeat, "DELETE") for _ in range(2)]
        others += [pool.submit(repeat, "PUT", json=SPEC) for _ in range(2)]
        for drawing in [pool.submit(draw) for _ in range(2)]:
            drawing.result()
        finished.set()
        for other in others:
            other.result()
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert {status for _, status in statuses} <= {200, 201, 204, 404}
    put()
    assert client.get("/sequences/inv").json["last"] == len(numbers)
