"""The same Idempotency-Key: one effect, one answer."""

import threading
from typing import Any

import pytest

from chassis.db import Database
from chassis.web import idempotency

BODY = {"name": "a", "size": 1}


def put(client: Any, key: str = "k", body: Any = None, path: str = "/things/a", user: str = "u", **more: str) -> Any:
    headers = {"Idempotency-Key": key, "X-Authenticated-User": user, **more}
    return client.put(path, json=body or BODY, headers=headers)


def count(db: Database) -> int:
    with db.transaction() as tx:
        return int(tx.value("SELECT count(*) FROM effects"))


def test_the_first_answer_comes_again(client: Any, db: Database) -> None:
    first, second = put(client), put(client)
    assert (first.status_code, second.status_code) == (201, 201)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.data == first.data
    for name in ("Content-Type", "Location"):
        assert second.headers[name] == first.headers[name]
    assert count(db) == 1


OTHERS = [{"body": {"name": "b", "size": 1}}, {"path": "/things/b"}, {"path": "/things/a?limit=2"}]


@pytest.mark.parametrize("other", OTHERS)
def test_the_key_with_another_request_is_a_422(client: Any, db: Database, other: Any) -> None:
    put(client)
    assert put(client, **other).status_code == 422
    assert count(db) == 1


@pytest.mark.parametrize("first", [{}, {"X-For": "one"}, {"X-For": "one", "X-Before": "2"}])
@pytest.mark.parametrize("second", [{}, {"X-For": "one"}, {"X-For": "two"}, {"X-Before": "one"}, {"X-Before": "2"}])
def test_the_key_with_another_meaningful_header_is_a_422(client: Any, db: Database, first: Any, second: Any) -> None:
    assert put(client, **first).status_code == 201
    answer = put(client, **second)
    if first == second:
        assert answer.headers["Idempotent-Replayed"] == "true"
    else:
        assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
        assert "X-For or X-Before" in answer.json["detail"]
    assert count(db) == 1


def test_other_headers_may_differ(client: Any, db: Database) -> None:
    put(client, **{"X-For": "one", "User-Agent": "first"})
    assert put(client, **{"X-For": "one", "User-Agent": "second"}).headers["Idempotent-Replayed"] == "true"


def test_a_request_without_such_headers_keeps_the_fingerprint_that_it_had_before_they_counted(app: Any) -> None:
    """A key that was stored before an upgrade is known after it."""
    before = "cc94a09490e58c251954031580d10da4e575b1f1fdf2c8aba2b338ec97bb6e74"
    with app.test_request_context("/things/a", method="PUT"):
        assert idempotency.request_fingerprint(b"{}") == before


def test_a_key_belongs_to_its_user(client: Any, db: Database) -> None:
    put(client, user="one")
    assert "Idempotent-Replayed" not in put(client, user="two").headers
    assert count(db) == 2


def test_while_the_first_runs_the_second_is_a_409(app: Any, client: Any, db: Database, eventually: Any) -> None:
    answers: list[Any] = []
    slow = threading.Thread(target=lambda: answers.append(put(app.test_client(), **{"X-Seconds": "0.5"})))
    slow.start()

    def is_running() -> bool:
        with db.transaction() as tx:
            return bool(tx.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))

    eventually(is_running)
    assert put(client).status_code == 409
    slow.join()
    assert answers[0].status_code == 201
    assert put(client).headers["Idempotent-Replayed"] == "true"
    assert count(db) == 1


def test_fifty_at_once_have_one_effect(app: Any, client: Any, db: Database) -> None:
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(put(app.test_client()).status_code)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(db) == 1
    assert set(answers) <= {201, 409}


@pytest.mark.parametrize("name", ["conflict", "answered conflict"])
def test_after_an_error_the_key_is_free(client: Any, db: Database, name: str) -> None:
    assert put(client, body={"name": name, "size": 1}).status_code == 409
    assert put(client).status_code == 201


def test_an_error_leaves_nothing_behind(client: Any, db: Database) -> None:
    assert put(client, body={"name": "conflict", "size": 1}).status_code == 409
    assert count(db) == 0


def test_an_effect_whose_answer_was_lost_is_not_repeated(app: Any, client: Any, db: Database) -> None:
    """The process dies after the commit: what is kept is kept with the effect."""
    with app.test_request_context(
        "/things/a", method="PUT", json=BODY, headers={"Idempotency-Key": "k", "X-Authenticated-User": "u"}
    ):
        app.preprocess_request()
        idempotency.run_idempotent(lambda tx: (str(tx.run("INSERT INTO effects (name) VALUES ('a')")), 201))
    answer = put(client)
    assert (answer.status_code, answer.data, answer.headers["Idempotent-Replayed"]) == (201, b"1", "true")
    assert count(db) == 1


def test_a_day_later_the_key_is_free(client: Any, db: Database) -> None:
    put(client)
    with db.transaction() as tx:
        tx.run("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 second'")
    assert "Idempotent-Replayed" not in put(client, body={"name": "b", "size": 2}).headers
    assert put(client, body={"name": "b", "size": 2}).headers["Idempotent-Replayed"] == "true"
    assert count(db) == 2


@pytest.mark.parametrize("key", ["", "a b", "a" * 256, "ä"])
def test_a_key_that_is_none_is_refused(client: Any, db: Database, key: str) -> None:
    answer = put(client, key=key.encode().decode("latin-1"))
    assert answer.status_code == 400
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"
    assert count(db) == 0


def test_a_form_is_compared_by_its_fields(client: Any) -> None:
    def send(data: str) -> Any:
        form = "application/x-www-form-urlencoded"
        return client.post("/forms", data=data, content_type=form, headers={"Idempotency-Key": "f"})

    assert send("colour=red").status_code == 201
    assert send("colour=re%64").headers["Idempotent-Replayed"] == "true"
    assert send("colour=blue").status_code == 422
