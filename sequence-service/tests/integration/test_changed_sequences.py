"""Skipping forward to a number, and extending the range."""

import threading
from collections import Counter

import pytest

DEFINITION = {"minimum": 1, "maximum": 100}


@pytest.fixture
def change(client):
    """Return a function that creates the sequence if necessary and changes it."""

    def change(headers=(), **body):
        return client.patch("/sequences/inv", json=body, headers={"X-Authenticated-User": "ann", **dict(headers)})

    return change


@pytest.fixture
def issue(client):
    assert client.put("/sequences/inv", json=DEFINITION).status_code == 201
    return lambda n=1: client.post("/sequences/inv/next", json={"n": n}).json["sequence_list"]


def test_sequence_skips_forward(client, issue, change):
    assert issue() == [1]
    response = change(next=50)
    assert (response.status_code, response.json["next"], response.json["last"]) == (200, 50, 49)
    assert issue(2) == [50, 51]


def test_range_is_extended(client, issue, change):
    issue(100)
    assert change(maximum=199).json["maximum"] == 199
    assert issue() == [101]
    assert client.put("/sequences/inv", json=DEFINITION).status_code == 409
    assert client.put("/sequences/inv", json={**DEFINITION, "maximum": 199}).status_code == 200


def test_range_is_extended_before_the_number_is_skipped_to(issue, change):
    assert change(next=150, maximum=200).status_code == 200
    assert issue() == [150]


@pytest.mark.parametrize("body", [{"next": 4}, {"next": 1}, {"maximum": 99}, {"maximum": 9}])
def test_backward_change_returns_409_and_changes_nothing(client, issue, change, outbox, body):
    issue(5)
    before = client.get("/sequences/inv").json
    assert change(**body).status_code == 409
    assert client.get("/sequences/inv").json == before
    assert outbox() == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"next": None}, "next"),
        ({"next": 101}, "next"),
        ({"next": 0}, "next"),
        ({"next": "5"}, "next"),
        ({"next": 1.5}, "next"),
        ({"maximum": 2**63}, "maximum"),
        ({"minimum": 0}, "minimum"),
        ({"cycle": True}, "cycle"),
    ],
)
def test_invalid_change_is_rejected_and_its_field_named(issue, change, body, field):
    response = change(**body)
    assert (response.status_code, response.json["errors"][0]["field"]) == (400, field)
    assert issue() == [1]


def test_exhausted_sequence_cannot_skip(issue, change):
    issue(100)
    assert change(next=100).status_code == 409


def test_built_in_or_unknown_sequence_cannot_be_changed(client, change):
    for name in ("sequence", "batch-sequence", "image-sequence", "json-sequence"):
        assert client.patch(f"/sequences/{name}", json={"next": 30_500}).status_code == 409
    assert change(next=5).status_code == 404


def test_change_publishes_the_old_and_the_new_values_and_the_user(issue, change, outbox):
    issue(3)
    change(next=50)
    change(next=50)
    change(maximum=200)
    payloads = [body["payload"] for type_, body in outbox() if type_ == "SequenceAdvanced"]
    assert payloads == [
        {"name": "inv", "old": {"next": 4, "maximum": 100}, "new": {"next": 50, "maximum": 100}, "user": "ann"},
        {"name": "inv", "old": {"next": 50, "maximum": 100}, "new": {"next": 50, "maximum": 200}, "user": "ann"},
    ]


def test_skip_over_nine_tenths_publishes_that_the_range_is_nearly_exhausted(issue, change, outbox):
    change(next=95)
    issue()
    payloads = [body["payload"] for type_, body in outbox() if type_ == "SequenceNearlyExhausted"]
    assert payloads == [{"name": "inv", "remaining": 6}]


def test_cyclic_sequence_skips_within_its_cycle(client, change, outbox):
    client.put("/sequences/inv", json={"minimum": 1, "maximum": 10, "cycle": True})
    client.post("/sequences/inv/next", json={"n": 7})
    client.post("/sequences/inv/next", json={"n": 7})
    assert change(next=3).status_code == 409
    assert change(next=10).json["cycles"] == 1
    assert client.post("/sequences/inv/next", json={"n": 2}).json["sequence_list"] == [10, 1]
    assert [type_ for type_, _ in outbox()].count("SequenceWrapped") == 2


def test_sequence_that_restarts_skips_in_its_current_period(client, change, db):
    definition = {**DEFINITION, "reset": "year", "format": "{year}-{}"}
    client.put("/sequences/inv", json=definition)
    client.post("/sequences/inv/next", json={"n": 7})
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET period = '2025' WHERE name = 'inv'")
    changed = change(next=3).json
    assert (changed["next"], changed["period"] > "2025") == (3, True)
    assert client.post("/sequences/inv/next").json["sequence_list"] == [3]


def test_repeated_key_changes_once(issue, change):
    first = change({"Idempotency-Key": "k"}, next=50)
    issue(5)
    assert change({"Idempotency-Key": "k"}, next=50).json == first.json
    assert issue() == [55]


def test_concurrent_skips_and_draws_issue_no_number_twice(app, issue, change, client):
    change(maximum=1_000_000)
    numbers, skips = Counter(), []

    def draw():
        for _ in range(20):
            numbers.update(app.test_client().post("/sequences/inv/next", json={"n": 3}).json["sequence_list"])

    def skip():
        for number in range(1000, 9000, 400):
            skips.append(app.test_client().patch("/sequences/inv", json={"next": number}).status_code)

    threads = [threading.Thread(target=target) for target in (draw, draw, draw, skip)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == 180 and max(numbers.values()) == 1
    assert set(skips) <= {200, 409} and 200 in skips
