"""The trace of a request: rows of the service and of its messages, in order of time."""

from typing import Any

import pytest

from chassis.db import Database
from chassis.messaging import inbox, outbox
from chassis.messaging.broker import Properties
from chassis.messaging.delivery import Received, parse_delivery
from chassis.web import traces

ADMIN = {"X-Authenticated-Role": "admin"}
ID = "0c0e1a8e-0f4f-4f0e-9d3c-0d6d2e8f0a01"


@pytest.fixture
def trace(client: Any) -> Any:
    return lambda request_id="r-1": client.get(f"/trace/{request_id}", headers=ADMIN).get_json()


def test_rows_and_messages_of_the_request_are_listed_in_order_of_time(db: Database, trace: Any) -> None:
    with db.transaction() as tx:
        tx.run("INSERT INTO effects (name) VALUES ('r-1 b'), ('r-2'), ('r-1 c')")
        outbox.add(tx, outbox.job("probe.work", {}, request_id="r-1"), outbox.job("probe.work", {}, request_id="r-2"))
        inbox.claim_message(tx, ID, "probe.work", "r-1")
    body = trace()
    assert [(entry["kind"], entry["what"]) for entry in body["entries"][:2]] == [
        ("effect", "r-1 b"),
        ("effect", "r-1 c"),
    ]
    assert {(entry["kind"], entry["what"]) for entry in body["entries"][2:]} == {
        ("job", "probe.work waits to be published"),
        ("job", "probe.work was handled"),
    }
    times = [entry["at"] for entry in body["entries"]]
    assert times == sorted(times) and all(time.endswith("Z") for time in times)
    assert body["has_more"] is False
    assert trace("r-3") == {"entries": [], "has_more": False}


def test_trace_is_bounded(db: Database, trace: Any) -> None:
    with db.transaction() as tx:
        tx.run("INSERT INTO effects (name) SELECT 'r-1' FROM generate_series(1, 1001)")
    body = trace()
    assert len(body["entries"]) == traces.MAX_ENTRIES and body["has_more"]


@pytest.mark.parametrize("role", ["writer", "reader", "runner", ""])
def test_only_admins_receive_a_trace(client: Any, db: Database, role: str) -> None:
    assert client.get("/trace/r-1", headers={"X-Authenticated-Role": role}).status_code == 403


@pytest.mark.parametrize("request_id", ["a b", "x" * 129, "a%3Bb", "%C3%A4"])
def test_invalid_request_id_is_rejected(client: Any, db: Database, request_id: str) -> None:
    response = client.get(f"/trace/{request_id}", headers=ADMIN)
    assert response.status_code == 400
    assert response.get_json()["errors"][0]["field"] == "request_id"


@pytest.mark.parametrize("correlation_id", ["", "a\nb", "not\0valid", "é", "x" * 129])
def test_invalid_request_id_of_a_message_is_replaced_with_an_empty_one(correlation_id: str) -> None:
    properties = Properties(message_id=ID, type="probe.work", correlation_id=correlation_id)
    assert parse_delivery("probe.work", Received(properties, b"{}")).request_id == ""
