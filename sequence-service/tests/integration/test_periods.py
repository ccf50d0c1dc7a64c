"""Sequences that restart each year, month or day."""

import threading
from datetime import UTC, datetime

import pytest

YEARLY = {"minimum": 1, "maximum": 9999, "format": "INV-{year}-{:04d}", "reset": "year", "timezone": "Europe/Berlin"}


@pytest.fixture
def put(client):
    return lambda **change: client.put("/sequences/inv", json={**YEARLY, **change})


@pytest.fixture
def issue(client):
    return lambda n=1, **headers: client.post("/sequences/inv/next", json={"n": n}, headers=headers)


@pytest.fixture
def set_period(db):
    """Return a function that moves the sequence into a period; the next request then sees an older or newer clock."""

    def set_period(period):
        with db.transaction() as tx:
            assert tx.run("UPDATE sequences SET period = %(period)s WHERE name = 'inv'", period=period)

    return set_period


@pytest.mark.parametrize(
    ("reset", "format", "name"),
    [
        ("year", "INV-{year}-{:04d}", "%Y"),
        ("month", "{year}{month:02d}-{:05d}", "%Y-%m"),
        ("day", "{year}{month:02d}{day:02d}-{}", "%Y-%m-%d"),
    ],
)
def test_response_names_the_period_and_formats_the_number_with_it(put, issue, reset, format, name):
    assert put(reset=reset, format=format, timezone="UTC").status_code == 201
    before, response, after = datetime.now(UTC), issue(2), datetime.now(UTC)
    assert response.json["period"] in {before.strftime(name), after.strftime(name)}
    year, *rest = (int(part) for part in response.json["period"].split("-"))
    parts = {"year": year, **dict(zip(("month", "day"), rest, strict=False))}
    assert response.json["formatted"] == [format.format(number, **parts) for number in (1, 2)]


def test_sequence_restarts_at_its_minimum_in_a_new_period(client, put, issue, set_period):
    put()
    issue(3)
    set_period("2025")
    state = client.get("/sequences/inv").json
    assert (state["last"], state["next"], state["remaining"], state["period"] > "2025") == (None, 1, 9999, True)
    response = issue(2)
    assert (response.json["sequence_list"], response.json["period"]) == ([1, 2], state["period"])
    assert client.get("/sequences/inv").json["last"] == 2


def test_clock_that_steps_back_does_not_reopen_a_period(client, put, issue, set_period):
    put()
    issue(3)
    set_period("2999")
    response = issue()
    assert (response.json["formatted"], response.json["period"]) == (["INV-2999-0004"], "2999")
    assert client.get("/sequences").json["sequences"][2]["period"] == "2999"


def test_exhausted_sequence_issues_again_in_a_new_period(put, issue, set_period):
    put(maximum=2)
    issue(2)
    assert issue().status_code == 409
    set_period("2025")
    assert issue(2).json["sequence_list"] == [1, 2]


def test_fifty_concurrent_first_callers_of_a_period_each_receive_their_own_number(app, put, issue, set_period):
    put()
    issue(3)
    set_period("2025")
    numbers = []

    def draw():
        numbers.extend(app.test_client().post("/sequences/inv/next").json["sequence_list"])

    threads = [threading.Thread(target=draw) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 51))


def test_nearly_exhausted_event_is_published_once_in_each_period(put, issue, set_period, outbox):
    put(maximum=10)
    issue(10)
    set_period("2025")
    issue(8)
    issue(2)
    payloads = [body["payload"] for type_, body in outbox() if type_ == "SequenceNearlyExhausted"]
    assert [(payload["name"], payload["remaining"]) for payload in payloads] == [("inv", 0), ("inv", 0)]
    assert all(payload["period"] > "2025" for payload in payloads)


def test_retry_returns_the_numbers_of_the_earlier_period(put, issue, set_period):
    put()
    first = issue(2, **{"Idempotency-Key": "k"})
    set_period("2025")
    assert issue(2, **{"Idempotency-Key": "k"}).json == first.json


def test_period_is_part_of_the_definition(client, put):
    put()
    assert put().status_code == 200
    assert put(timezone="UTC").status_code == 409
    assert put(reset=None, format="INV-{:04d}").status_code == 409
    client.delete("/sequences/inv")
    assert put(timezone="UTC").status_code == 409
    assert put(reset="month", format="{year}{month:02d}{}").status_code == 409
    assert put().status_code == 201


def test_revived_sequence_continues_in_its_period(client, put, issue):
    put()
    issue(3)
    client.delete("/sequences/inv")
    put()
    assert issue().json["sequence_list"] == [4]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reset": "week"}, "reset"),
        ({"reset": "year", "format": "{}"}, "format"),
        ({"reset": None}, "format"),
        ({"timezone": "localtime"}, "timezone"),
        ({"timezone": "europe/berlin"}, "timezone"),
        ({"timezone": None}, "timezone"),
        ({"audit": 1}, "audit"),
    ],
)
def test_invalid_period_is_rejected_and_its_field_named(client, put, change, field):
    response = put(**change)
    assert (response.status_code, [error["field"] for error in response.json["errors"]]) == (400, [field])
    assert client.get("/sequences/inv").status_code == 404
