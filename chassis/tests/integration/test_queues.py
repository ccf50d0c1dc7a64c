"""The queues of a service and their dead letters, as its web process reports and requests them."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chassis.db import Database
from chassis.messaging import broker, deadletters
from chassis.web import queues

ADMIN = {"X-Authenticated-Role": "admin"}


@pytest.fixture
def report(db: Database) -> Callable[..., None]:
    """Return a function that reports like a worker."""

    def insert(worker: str, queues: dict[str, Any], is_connected: bool = True, seconds_ago: int = 0) -> None:
        with db.transaction() as tx:
            tx.run(
                """
                INSERT INTO workers (worker, seen_at, broker_connected, dead_letters, queues)
                VALUES (%(worker)s, now() - make_interval(secs => %(ago)s), %(connected)s, '{"probe.a": 2}', %(queues)s)
                """,
                worker=worker,
                ago=seconds_ago,
                connected=is_connected,
                queues=json.dumps(queues),
            )

    return insert


def state(messages: int, rate: float) -> dict[str, float]:
    return {"messages": messages, "consumers": 2, "handled_per_second": rate}


def test_queues_are_those_of_the_newest_report_with_the_rates_of_all_workers(client: Any, report: Any) -> None:
    report("old", {"probe.a": state(9, 0.5)}, seconds_ago=4)
    report("new", {"probe.a": state(7, 1.5)}, seconds_ago=1)
    report("dead", {"probe.a": state(1, 100)}, seconds_ago=60)
    report("older version", {})
    body = client.get("/queues", headers=ADMIN).get_json()
    queue = {"name": "probe.a", "dead_letters": 2, "messages": 7, "consumers": 2, "handled_per_second": 2.0}
    assert body == {"is_connected": True, "queues": [queue]}


def test_without_a_worker_nothing_is_known_and_nothing_can_be_requested(client: Any, db: Database) -> None:
    assert client.get("/queues", headers=ADMIN).get_json() == {"is_connected": False, "queues": []}
    response = client.get("/queues/probe.a/dead", headers=ADMIN)
    assert response.status_code == 503 and "no worker is connected" in response.get_json()["detail"]


@pytest.fixture
def worker(db: Database, node: Any, report: Any, queue: str, channel: Any) -> Iterator[None]:
    """Report the queue, which has the dead letters m1 and m2, and perform requests like a worker."""
    broker.declare_queue(channel, queue)
    for name in ("m1", "m2"):
        properties = broker.Properties(message_id=name, headers={"x-reason": "failed"})
        channel.basic_publish("", broker.dead_letter_queue(queue), b"{}", properties, mandatory=True)
    report("w", {queue: {}})
    stop_event = threading.Event()

    def perform() -> None:
        while not stop_event.wait(0.02):
            with db.transaction() as tx:
                deadletters.perform_next(tx, node.url)

    thread = threading.Thread(target=perform)
    thread.start()
    yield
    stop_event.set()
    thread.join()


def test_dead_letters_are_listed_requeued_and_deleted(client: Any, worker: None, queue: str, eventually: Any) -> None:
    path = f"/queues/{queue}/dead"
    letters = client.get(path, headers=ADMIN).get_json()["dead_letters"]
    assert [(letter["id"], letter["reason"]) for letter in letters] == [("m1", "failed"), ("m2", "failed")]
    # RabbitMQ returns them to the queue shortly after they were listed.
    eventually(lambda: client.delete(f"{path}?id=m1", headers=ADMIN).get_json() == {"count": 1})
    assert client.delete(f"{path}?id=m1", headers=ADMIN).status_code == 404
    eventually(lambda: client.post(f"{path}/retry", headers=ADMIN).get_json() == {"count": 1})
    assert client.get(path, headers=ADMIN).get_json() == {"dead_letters": []}
    assert client.post("/queues/probe.unknown/dead/retry", headers=ADMIN).status_code == 404


def test_dead_letters_with_unusual_bodies_and_properties_are_listed(
    client: Any, worker: None, queue: str, channel: Any
) -> None:
    properties = broker.Properties(message_id=b"\xff", headers={"x-reason": b"\xff", "x-dead-at": 5})
    channel.basic_publish("", broker.dead_letter_queue(queue), b"\x00\\u0000", properties, mandatory=True)
    letters = client.get(f"/queues/{queue}/dead", headers=ADMIN).get_json()["dead_letters"]
    assert (letters[2]["body"], letters[2]["id"], letters[2]["dead_at"]) == ("\x00\\u0000", None, None)
    assert letters[2]["reason"] == "b'\\xff'"


def test_request_that_no_worker_performs_in_time_has_an_unknown_outcome(
    client: Any, report: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "_MAX_WAIT_SECONDS", 0.1)
    report("w", {"probe.a": {}})
    response = client.post("/queues/probe.a/dead/retry", headers=ADMIN)
    assert response.status_code == 504 and "no worker has responded in time" in response.get_json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/a/dead"), ("POST", "/a/dead/retry"), ("DELETE", "/a/dead")]
)
@pytest.mark.parametrize("role", ["writer", ""])
def test_only_admins_see_and_change_queues(client: Any, db: Database, role: str, method: str, path: str) -> None:
    assert client.open(f"/queues{path}", method=method, headers={"X-Authenticated-Role": role}).status_code == 403
