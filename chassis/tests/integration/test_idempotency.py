"""Requests with the same Idempotency-Key have one effect and one response."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from chassis.db import Database
from chassis.web import idempotency

BODY = {"name": "a", "size": 1}


def put(client: Any, key: str = "k", body: Any = None, path: str = "/things/a", user: str = "u", **headers: str) -> Any:
    all_headers = {"Idempotency-Key": key, "X-Authenticated-User": user, **headers}
    return client.put(path, json=body or BODY, headers=all_headers)


def count_effects(db: Database) -> int:
    with db.transaction() as tx:
        return int(tx.value("SELECT count(*) FROM effects"))


def test_repetition_returns_the_first_response(client: Any, db: Database) -> None:
    first, second = put(client), put(client)
    assert (first.status_code, second.status_code) == (201, 201)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.data == first.data
    for name in ("Content-Type", "Location"):
        assert second.headers[name] == first.headers[name]
    assert count_effects(db) == 1


DIFFERENT_REQUESTS = [{"body": {"name": "b", "size": 1}}, {"path": "/things/b"}, {"path": "/things/a?limit=2"}]


@pytest.mark.parametrize("different", DIFFERENT_REQUESTS, ids=["body", "path", "query"])
def test_key_with_a_different_request_returns_422(client: Any, db: Database, different: Any) -> None:
    put(client)
    assert put(client, **different).status_code == 422
    assert count_effects(db) == 1


MEANINGFUL_HEADERS: dict[str, dict[str, str]] = {
    "none": {},
    "one": {"X-For": "one"},
    "another value": {"X-For": "two"},
    "another header": {"X-Before": "one"},
    "second header": {"X-Before": "2"},
    "both": {"X-For": "one", "X-Before": "2"},
}


@pytest.mark.parametrize("first", ["none", "one", "both"])
@pytest.mark.parametrize("second", ["none", "one", "another value", "another header", "second header"])
def test_key_with_a_different_meaningful_header_returns_422(client: Any, db: Database, first: str, second: str) -> None:
    assert put(client, **MEANINGFUL_HEADERS[first]).status_code == 201
    response = put(client, **MEANINGFUL_HEADERS[second])
    if first == second:
        assert response.headers["Idempotent-Replayed"] == "true"
    else:
        assert (response.status_code, response.content_type) == (422, "application/problem+json")
        assert "X-For or X-Before" in response.json["detail"]
    assert count_effects(db) == 1


def test_other_headers_may_differ(client: Any, db: Database) -> None:
    put(client, **{"X-For": "one", "User-Agent": "first"})
    assert put(client, **{"X-For": "one", "User-Agent": "second"}).headers["Idempotent-Replayed"] == "true"


def test_fingerprint_without_meaningful_headers_never_changes(app: Flask) -> None:
    """A key that was stored before an upgrade must match after it."""
    expected = "cc94a09490e58c251954031580d10da4e575b1f1fdf2c8aba2b338ec97bb6e74"
    with app.test_request_context("/things/a", method="PUT"):
        assert idempotency.request_fingerprint(b"{}") == expected


def test_key_belongs_to_its_user(client: Any, db: Database) -> None:
    put(client, user="one")
    assert "Idempotent-Replayed" not in put(client, user="two").headers
    assert count_effects(db) == 2


def test_repetition_returns_409_while_the_first_request_is_in_progress(
    app: Flask, client: Any, db: Database, eventually: Any
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with db.transaction() as tx:
            tx.run("LOCK TABLE effects")
            first = pool.submit(put, app.test_client())
            eventually(lambda: tx.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
            response = put(client)
            assert (response.status_code, response.headers["Retry-After"]) == (409, "1")
        assert first.result().status_code == 201
    assert put(client).headers["Idempotent-Replayed"] == "true"
    assert count_effects(db) == 1


def test_fifty_concurrent_requests_have_one_effect(app: Flask, client: Any, db: Database) -> None:
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(put(app.test_client()).status_code)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_effects(db) == 1
    assert set(statuses) <= {201, 409}


@pytest.mark.parametrize("name", ["conflict", "returned conflict"])
def test_key_is_free_after_an_error(client: Any, db: Database, name: str) -> None:
    response = put(client, body={"name": name, "size": 1})
    assert (response.status_code, "Retry-After" in response.headers) == (409, False)
    assert put(client).status_code == 201


def test_error_has_no_effect(client: Any, db: Database) -> None:
    assert put(client, body={"name": "conflict", "size": 1}).status_code == 409
    assert count_effects(db) == 0


def test_effect_whose_response_was_lost_is_not_repeated(app: Flask, client: Any, db: Database) -> None:
    """The process is killed after the commit; the response was stored together with the effect."""
    with app.test_request_context(
        "/things/a", method="PUT", json=BODY, headers={"Idempotency-Key": "k", "X-Authenticated-User": "u"}
    ):
        app.preprocess_request()
        idempotency.run_idempotent(lambda tx: (str(tx.run("INSERT INTO effects (name) VALUES ('a')")), 201))
    response = put(client)
    assert (response.status_code, response.data, response.headers["Idempotent-Replayed"]) == (201, b"1", "true")
    assert count_effects(db) == 1


def test_key_is_free_after_a_day(client: Any, db: Database) -> None:
    put(client)
    with db.transaction() as tx:
        tx.run("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 second'")
    assert "Idempotent-Replayed" not in put(client, body={"name": "b", "size": 2}).headers
    assert put(client, body={"name": "b", "size": 2}).headers["Idempotent-Replayed"] == "true"
    assert count_effects(db) == 2


@pytest.mark.parametrize("key", ["", "a b", "a" * 256, "ä"])
def test_invalid_key_returns_400(client: Any, db: Database, key: str) -> None:
    response = put(client, key=key.encode().decode("latin-1"))
    assert response.status_code == 400
    assert response.json["errors"][0]["field"] == "Idempotency-Key"
    assert count_effects(db) == 0


def test_form_is_compared_by_its_fields(client: Any) -> None:
    def send(data: str) -> Any:
        form = "application/x-www-form-urlencoded"
        return client.post("/forms", data=data, content_type=form, headers={"Idempotency-Key": "f"})

    assert send("color=red").status_code == 201
    assert send("color=re%64").headers["Idempotent-Replayed"] == "true"
    assert send("color=blue").status_code == 422
