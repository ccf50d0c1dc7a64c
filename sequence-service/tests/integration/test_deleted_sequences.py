"""The name of a deleted sequence stays reserved, and none of its numbers is issued twice."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

DEFINITION = {"minimum": 1, "maximum": 100_000, "cycle": False, "format": "INV-{:05d}"}


@pytest.fixture
def put(client):
    return lambda **change: client.put("/sequences/inv", json={**DEFINITION, **change})


@pytest.fixture
def issue(client):
    return lambda n=1, **headers: client.post("/sequences/inv/next", json={"n": n}, headers=headers)


def delete(client):
    assert client.delete("/sequences/inv").status_code == 204


def test_deleted_sequence_returns_404_and_is_not_listed(client, put, issue):
    put()
    issue(3)
    delete(client)
    assert client.get("/sequences/inv").status_code == 404
    assert issue().status_code == 404
    assert client.delete("/sequences/inv").status_code == 404
    listing = client.get("/sequences").json
    assert listing["total"] == 4
    assert "inv" not in [sequence["name"] for sequence in listing["sequences"]]


def test_identical_put_revives_the_sequence_where_it_stopped(client, put, issue):
    put()
    issue(3)
    delete(client)
    revived = put()
    assert revived.status_code == 201
    assert (revived.json["last"], revived.json["next"]) == (3, 4)
    assert put().status_code == 200
    assert issue(2).json["sequence_list"] == [4, 5]


def test_identical_definition_may_omit_the_defaults(client):
    for _ in range(2):
        assert client.put("/sequences/short", json={"minimum": 1, "maximum": 9}).status_code == 201
        client.delete("/sequences/short")
    assert client.put("/sequences/short", json={"minimum": 1, "maximum": 9, "cycle": False}).status_code == 201


def test_revived_sequence_is_still_exhausted(client):
    client.put("/sequences/few", json={"minimum": 1, "maximum": 2})
    client.post("/sequences/few/next", json={"n": 2})
    client.delete("/sequences/few")
    assert client.put("/sequences/few", json={"minimum": 1, "maximum": 2}).json["next"] is None
    assert client.post("/sequences/few/next").status_code == 409


@pytest.mark.parametrize("change", [{"minimum": 0}, {"maximum": 99}, {"cycle": True}, {"format": "{}"}])
def test_different_definition_of_a_reserved_name_conflicts_and_changes_nothing(client, put, issue, change):
    put()
    issue(3)
    delete(client)
    response = put(**change)
    assert response.status_code == 409
    assert "deleted" in response.json["detail"]
    assert "minimum 1, maximum 100000, cycle false, format INV-{:05d}" in response.json["detail"]
    assert client.get("/sequences/inv").status_code == 404
    assert put().json["next"] == 4


def test_built_in_sequences_cannot_be_deleted(client):
    for name in ("sequence", "batch-sequence", "image-sequence", "json-sequence"):
        assert client.delete(f"/sequences/{name}").status_code == 409
        assert client.get(f"/sequences/{name}").status_code == 200


def test_response_to_a_key_used_before_the_deletion_is_replayed_and_issues_nothing(client, put, issue):
    put()
    first = issue(2, **{"Idempotency-Key": "k"})
    delete(client)
    replayed = issue(2, **{"Idempotency-Key": "k"})
    assert (replayed.status_code, replayed.json) == (200, first.json)
    assert replayed.headers["Idempotent-Replayed"] == "true"
    put()
    assert issue(2, **{"Idempotency-Key": "k"}).json == first.json
    assert issue().json["sequence_list"] == [3]


def test_failed_request_to_a_deleted_sequence_does_not_consume_its_key(client, put, issue):
    put()
    delete(client)
    assert issue(1, **{"Idempotency-Key": "new"}).status_code == 404
    put()
    response = issue(1, **{"Idempotency-Key": "new"})
    assert response.json["sequence_list"] == [1]
    assert "Idempotent-Replayed" not in response.headers


def test_concurrent_deletes_and_revivals_issue_every_number_once(app, client, put):
    """Two clients each request numbers, delete and revive concurrently: every number is issued once, without a gap."""
    put()
    numbers, statuses = [], Counter()
    finished = threading.Event()

    def request_numbers():
        own_client = app.test_client()
        while len(numbers) < 300 or statuses["PUT", 201] < 20:
            response = own_client.post("/sequences/inv/next", json={"n": 2})
            statuses["next", response.status_code] += 1
            if response.status_code == 200:
                numbers.extend(response.json["sequence_list"])

    def repeat(method, **body):
        own_client = app.test_client()
        while not finished.is_set():
            response = own_client.open("/sequences/inv", method=method, **body)
            statuses[method, response.status_code] += 1

    with ThreadPoolExecutor(6) as pool:
        background_tasks = [pool.submit(repeat, "DELETE") for _ in range(2)]
        background_tasks += [pool.submit(repeat, "PUT", json=DEFINITION) for _ in range(2)]
        for requester in [pool.submit(request_numbers) for _ in range(2)]:
            requester.result()
        finished.set()
        for task in background_tasks:
            task.result()
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert {status for _, status in statuses} <= {200, 201, 204, 404}
    put()
    assert client.get("/sequences/inv").json["last"] == len(numbers)
