"""Whether the service can do its work, as it says itself."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from typing import Any

import psutil
import pytest
from flask import Flask

from chassis.db import Database
from chassis.runtime.config import ServiceSettings
from chassis.web import app as web
from chassis.web import health
from quintet_testing import plugin as testing
from quintet_testing.postgres import TemporaryPostgres


def report(db: Database, connected: bool = True, dead: str = "{}", seconds_ago: int = 0) -> None:
    with db.transaction() as tx:
        tx.run(
            """
            INSERT INTO workers (worker, seen_at, broker_connected, dead_letters)
            VALUES ('w', now() - make_interval(secs => %(ago)s), %(connected)s, %(dead)s)
            """,
            ago=seconds_ago,
            connected=connected,
            dead=dead,
        )


def test_all_is_well_while_postgres_and_a_worker_answer(client: Any, db: Database) -> None:
    report(db, dead='{"probe.work": 3}')
    with db.transaction() as tx:
        tx.run(
            "INSERT INTO outbox (message_id, exchange, routing_key, type, correlation_id, body, created_at)"
            " VALUES (gen_random_uuid(), '', 'q', 'q', 'r', '{}', now() - interval '1 minute')"
        )
    answer = client.get("/healthcheck")
    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["service"], answer.json["version"]) == (
        "OK",
        "probe-service",
        metadata.version("quintet-chassis"),
    )
    assert answer.json["uptime_seconds"] >= 0
    assert answer.json["dependencies"]["postgres"]["latency_ms"] >= 0
    found = answer.json["dependencies"]["rabbitmq"]
    assert (found["outbox_backlog"], found["dead_letters"], found["workers_connected"]) == (1, {"probe.work": 3}, 1)
    assert 60 <= found["outbox_oldest_seconds"] < 70


@pytest.mark.parametrize("worker", [None, {"connected": False}, {"seconds_ago": 30}])
def test_without_a_worker_that_is_connected_it_is_degraded(client: Any, db: Database, worker: Any) -> None:
    if worker:
        report(db, **worker)
    answer = client.get("/healthcheck")
    assert (answer.status_code, answer.json["status"]) == (200, "DEGRADED")
    assert answer.json["dependencies"]["rabbitmq"]["status"] == "DOWN"
    assert answer.json["dependencies"]["postgres"]["status"] == "OK"


@contextmanager
def frozen(server: TemporaryPostgres) -> Iterator[None]:
    processes = [process := psutil.Process(server.process.pid), *process.children()]
    for each in processes:
        with suppress(psutil.NoSuchProcess):  # an autovacuum worker ends by itself
            each.suspend()
    try:
        yield
    finally:
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.resume()


def test_with_postgres_away_or_frozen_it_says_so_within_a_second_and_lives(
    mortal_postgres: TemporaryPostgres,
) -> None:
    from probe_service.app import create_app

    client = create_app(testing.migrated(ServiceSettings, "probe", mortal_postgres.url)).test_client()
    assert client.get("/healthcheck").status_code == 200
    with frozen(mortal_postgres):
        _is_down(client)
    mortal_postgres.stop(signal.SIGKILL)
    _is_down(client)
    assert client.get("/metrics").status_code == 200
    answer = client.get("/slow-query")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    mortal_postgres.start()
    assert client.get("/healthcheck").status_code == 200


def _is_down(client: Any) -> None:
    began = time.monotonic()
    answer = client.get("/healthcheck")
    assert time.monotonic() - began < 5
    assert (answer.status_code, answer.json["status"], answer.headers["Retry-After"]) == (503, "DOWN", "1")
    assert answer.json["dependencies"]["postgres"]["status"] == "DOWN"
    assert client.get("/livez").json == {"status": "OK"}


def test_checks_that_hang_or_fail_cost_a_second_together_and_leave_it_degraded(
    settings: ServiceSettings, db: Database
) -> None:
    def fail(_running: Any) -> Any:
        raise RuntimeError("secret internals")

    hangs = {f"hanging{number}": lambda _running: time.sleep(1.6) or {} for number in range(3)}
    parts = [health.blueprint("", {}, {**hangs, "failing": fail})]
    app: Flask = web.create_app("probe", settings, parts)
    report(db)
    began = time.monotonic()
    answers = [app.test_client().get("/healthcheck") for _ in range(3)]
    assert time.monotonic() - began < 7
    for answer in answers:
        assert (answer.status_code, answer.json["status"]) == (200, "DEGRADED")
        assert answer.json["dependencies"]["postgres"]["status"] == "OK"
        assert answer.json["dependencies"]["hanging1"] == {"status": "DOWN", "detail": "no response within 1 s"}
        assert answer.json["dependencies"]["failing"]["status"] == "DOWN"
        assert "secret" not in answer.text


def test_an_invariant_that_does_not_hold_is_named(app: Flask, db: Database) -> None:
    client = app.test_client()
    assert client.get("/invariants").json == {
        "status": "OK",
        "checks": [{"name": "effects_have_names", "status": "OK", "detail": ""}],
    }
    with db.transaction() as tx:
        tx.run("INSERT INTO effects (name) VALUES ('nameless')")
    found = client.get("/invariants").json
    assert found["status"] == "BROKEN"
    assert found["checks"][0]["detail"] == "1 effects have no name"
