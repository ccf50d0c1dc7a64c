"""The health and the invariants that a service reports."""

import re
import signal
import threading
import time
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import pytest
from flask import Flask

from chassis.db import Database
from chassis.messaging import outbox
from chassis.messaging.outbox import Message
from chassis.runtime.config import ServiceSettings
from chassis.web import app as web
from chassis.web import health, recent_requests
from quintet_testing import plugin as testing
from quintet_testing.postgres import TemporaryPostgres


def insert_worker(
    db: Database, is_connected: bool = True, dead_letters: str = "{}", seconds_ago: int = 0, queues: str = "{}"
) -> None:
    with db.transaction() as tx:
        tx.run(
            """
            INSERT INTO workers (worker, seen_at, broker_connected, dead_letters, queues)
            VALUES ('w', now() - make_interval(secs => %(seconds_ago)s), %(is_connected)s, %(dead_letters)s, %(queues)s)
            """,
            seconds_ago=seconds_ago,
            is_connected=is_connected,
            dead_letters=dead_letters,
            queues=queues,
        )


def test_reports_ok_with_postgres_and_a_connected_worker(client: Any, db: Database) -> None:
    insert_worker(db, dead_letters='{"probe.work": 3}', queues='{"probe.work": {"messages": 7}}')
    with db.transaction() as tx:
        tx.run(
            "INSERT INTO outbox (message_id, exchange, routing_key, type, correlation_id, body, created_at)"
            " VALUES (gen_random_uuid(), '', 'q', 'q', 'r', '{}', now() - interval '1 minute')"
        )
    response = client.get("/healthcheck")
    assert response.status_code == 200
    assert (response.json["status"], response.json["service"], response.json["version"]) == (
        "OK",
        "probe-service",
        metadata.version("quintet-chassis"),
    )
    assert response.json["uptime_seconds"] >= 0
    assert response.json["dependencies"]["postgres"]["latency_ms"] >= 0
    rabbitmq = response.json["dependencies"]["rabbitmq"]
    assert (rabbitmq["outbox_backlog"], rabbitmq["dead_letters"], rabbitmq["workers_connected"]) == (
        1,
        {"probe.work": 3},
        1,
    )
    assert rabbitmq["queues"] == {"probe.work": 7}
    assert 60 <= rabbitmq["outbox_oldest_seconds"] < 600


@pytest.mark.parametrize(
    "worker", [None, {"is_connected": False}, {"seconds_ago": 30}], ids=["no worker", "disconnected", "silent"]
)
def test_reports_degraded_without_a_connected_worker(client: Any, db: Database, worker: Any) -> None:
    if worker:
        insert_worker(db, **worker)
    response = client.get("/healthcheck")
    assert (response.status_code, response.json["status"]) == (200, "DEGRADED")
    assert response.json["dependencies"]["rabbitmq"]["status"] == "DOWN"
    assert response.json["dependencies"]["postgres"]["status"] == "OK"


def test_metrics_are_in_the_text_format_of_prometheus(client: Any, db: Database) -> None:
    client.get("/things/a")
    response = client.get("/metrics")
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.text.splitlines()
    assert response.text.endswith("\n") and all(
        re.fullmatch(r"# (HELP|TYPE) .+|\w+(\{.*\})? \S+", line) for line in lines
    )
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values["quintet_unexpected_errors_total"]) == 0
    assert any("/things/<name>" in name and float(value) >= 1 for name, value in values.items())


def test_recent_requests_are_those_of_complete_minutes_without_probes(
    client: Any, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_requests.time, "time", lambda: 1_700_000_040)
    for path in ("/things/a", "/errors/bug", "/livez", "/healthcheck", "/metrics", "/metrics/recent"):
        client.get(path)
    monkeypatch.setattr(recent_requests.time, "time", lambda: 1_700_000_100)
    report = client.get("/metrics/recent").json
    assert len(report["minutes"]) == 15
    newest = report["minutes"][-1]
    assert (newest["time"], newest["errors"], sum(newest["counts"])) == (1_700_000_040, 1, 2)
    assert len(newest["counts"]) == len(report["bounds_seconds"]) + 1


def test_recent_backlogs_are_the_greatest_of_each_minute(client: Any, db: Database) -> None:
    with db.transaction() as tx:
        outbox.add(tx, *[Message("", "probe.work", "probe.work", "{}", "r") for _ in range(3)])
        outbox.record_backlog(tx, datetime.now(UTC))
    with db.transaction() as tx:
        tx.run("DELETE FROM outbox")
        outbox.record_backlog(tx, datetime.now(UTC))
        # Neither the beginning of the next minute nor what is too old may matter.
        tx.run("UPDATE outbox_backlogs SET minute = date_trunc('minute', now()) - interval '1 minute'")
        tx.run("INSERT INTO outbox_backlogs VALUES (date_trunc('minute', now()) - interval '16 minutes', 9)")
    minutes = client.get("/metrics/backlog").json["minutes"]
    assert [minute["backlog"] for minute in minutes] == [*[None] * 14, 3, None]
    assert [minute["time"] - minutes[0]["time"] for minute in minutes] == [60 * n for n in range(16)]
    assert abs(minutes[-1]["time"] + 30 - time.time()) <= 90


@pytest.mark.fault
def test_reports_down_and_stays_alive_while_postgres_is_frozen_or_stopped(
    restartable_postgres: TemporaryPostgres,
) -> None:
    from probe_service.app import create_app

    client = create_app(testing.migrated(ServiceSettings, "probe", restartable_postgres.url)).test_client()
    assert client.get("/healthcheck").status_code == 200
    with restartable_postgres.frozen():
        _assert_down(client)
    restartable_postgres.stop(signal.SIGKILL)
    _assert_down(client)
    assert client.get("/metrics").status_code == 200
    response = client.get("/slow-query")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    restartable_postgres.start()
    assert client.get("/healthcheck").status_code == 200


def _assert_down(client: Any) -> None:
    response = client.get("/healthcheck")
    assert (response.status_code, response.json["status"], response.headers["Retry-After"]) == (503, "DOWN", "1")
    assert response.json["dependencies"]["postgres"]["status"] == "DOWN"
    assert client.get("/livez").json == {"status": "OK"}


def test_hanging_and_failing_checks_are_not_awaited_and_report_degraded(
    settings: ServiceSettings, db: Database
) -> None:
    def fail(_app: Flask) -> Any:
        raise RuntimeError("secret internals")

    finished = threading.Event()
    hanging = {f"hanging{number}": lambda _app: finished.wait() and {} for number in range(3)}
    blueprints = [health.blueprint("", {}, (), {**hanging, "failing": fail})]
    app: Flask = web.create_app("probe", settings, blueprints)
    insert_worker(db)
    responses = [app.test_client().get("/healthcheck") for _ in range(3)]
    finished.set()
    for response in responses:
        assert (response.status_code, response.json["status"]) == (200, "DEGRADED")
        assert response.json["dependencies"]["postgres"]["status"] == "OK"
        assert response.json["dependencies"]["hanging1"] == {"status": "DOWN", "detail": "no response within 1 s"}
        assert response.json["dependencies"]["failing"]["status"] == "DOWN"
        assert "secret" not in response.text
