"""Deletion by retention, concurrently with readers, consumers and producers, and interrupted by a kill."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from event_service.domain.ownership import Caller
from event_service.operations import consumers, consuming, retention
from event_service.store import consumers as store
from quintet_testing.postgres import free_port

ANN = Caller("ann")


@pytest.fixture
def delete_once(db):
    def delete_once():
        with db.transaction() as tx:
            return retention.delete_due_events(tx, datetime.now(UTC))

    return delete_once


def nack(tx, api, event_id, limit=5):
    now = datetime.now(UTC)
    consuming.nack(tx, api.stream, event_id, "consumer", ANN, reason="", delay_seconds=0, limit=limit, now=now)


def park_events(api, count):
    ids = api.append_events(count)
    for event_id in ids:
        for _ in range(5):
            api.acknowledge(event_id, "NACK")
    return ids


def test_nack_in_progress_parks_no_deleted_event(api, db, delete_once, is_waiting, eventually):
    ids = api.append_events(3)
    api.acknowledge(ids[0], "NACK")
    api.put_retention(max_events=1)
    with ThreadPoolExecutor(1) as pool:
        with db.transaction() as tx:
            nack(tx, api, ids[0], limit=1)
            deletion = pool.submit(delete_once)
            eventually(is_waiting)
        assert deletion.result()
    assert api.parked()["total"] == 0
    assert api.consumers()[0]["offset"] == 2


def test_nack_of_a_replayed_event_in_progress_parks_no_deleted_event(api, db, delete_once, is_waiting, eventually):
    ids = park_events(api, 3)
    api.replay(ids[0])
    api.put_retention(max_events=1)
    with ThreadPoolExecutor(1) as pool:
        with db.transaction() as tx:
            nack(tx, api, ids[0], limit=1)
            deletion = pool.submit(delete_once)
            eventually(is_waiting)
        assert deletion.result()
    assert [event["sequence"] for event in api.parked()["parked"]] == [3]


def test_nack_that_waits_for_a_deletion_parks_no_deleted_event(api, db, is_waiting, eventually):
    ids = park_events(api, 3)
    api.replay(ids[0])
    api.put_retention(max_events=1)
    with ThreadPoolExecutor(1) as pool:
        with db.transaction() as tx:
            assert retention.delete_due_events(tx, datetime.now(UTC))
            response = pool.submit(api.acknowledge, ids[0], "NACK")
            eventually(is_waiting)
        assert response.result().json == "OK"
    assert [event["sequence"] for event in api.parked()["parked"]] == [3]


@pytest.mark.parametrize("act", ["acknowledge", "nack", "put_offset"])
def test_offset_that_is_created_during_a_deletion_begins_at_the_first_event_left(api, db, is_waiting, eventually, act):
    ids = api.append_events(3)
    api.put_retention(max_events=1)
    acts = {
        "acknowledge": lambda: api.acknowledge(ids[0]),
        "nack": lambda: api.acknowledge(ids[0], "NACK"),
        "put_offset": lambda: api.set_offset(0),
    }
    with ThreadPoolExecutor(1) as pool:
        with db.transaction() as tx:
            assert retention.delete_due_events(tx, datetime.now(UTC))
            response = pool.submit(acts[act])
            eventually(is_waiting)
        assert response.result().json == "OK"
    assert api.consumers()[0]["offset"] == 2
    assert api.sequences() == [3]


def test_offset_that_a_read_of_all_names_creates_is_moved_by_a_deletion(
    api, delete_once, is_waiting, eventually, monkeypatch
):
    api.append_events(3)
    api.put_retention(max_events=1)
    lock_feed = store.lock_feed
    with ThreadPoolExecutor(1) as pool:
        deletions = []

        def lock_feed_and_delete(*arguments):
            numbers = lock_feed(*arguments)
            deletions.append(pool.submit(delete_once))
            eventually(lambda: deletions[0].done() or is_waiting())
            return numbers

        monkeypatch.setattr(store, "lock_feed", lock_feed_and_delete)
        assert api.read("*").status_code == 200
        assert deletions[0].result()
    (state,) = api.consumers()
    assert (state["eventName"], state["offset"], state["missed"]) == ("*", 2, 2)


def test_offset_that_is_being_set_back_is_moved_by_the_deletion(api, db, delete_once, is_waiting, eventually):
    ids = api.append_events(3)
    api.acknowledge(ids[2], upTo="1")
    api.put_retention(max_events=1)
    with ThreadPoolExecutor(1) as pool:
        with db.transaction() as tx:
            now = datetime.now(UTC)
            consumers.put_offset(tx, api.stream, "consumer", ANN, name="OrderPlaced", target=0, now=now)
            deletion = pool.submit(delete_once)
            eventually(is_waiting)
        assert deletion.result()
    (state,) = api.consumers()
    assert (state["offset"], state["missed"]) == (2, 2)


def test_readers_see_neither_a_gap_nor_an_error_during_deletions(api, api_for, app, delete_due, monkeypatch):
    monkeypatch.setattr(retention, "MAX_DELETED_EVENTS", 7)
    api.append_events(10)
    api.put_retention(max_events=10)
    is_done = threading.Event()

    def produce():
        for _ in range(60):
            api_for(app, api.stream).append_events(10)

    def read_from_a_deleted_position():
        reader, last = api_for(app, api.stream), 0
        while not is_done.is_set():
            positions = reader.positions("from=1")
            assert positions == list(range(positions[0], positions[-1] + 1))
            assert positions[-1] >= last
            last = positions[-1]
            newest_first = reader.positions("before=100000")
            assert newest_first == list(range(newest_first[0], newest_first[-1] - 1, -1))
            assert len(newest_first) >= 10

    def consume(consumer):
        reader, last = api_for(app, api.stream), 0
        while not is_done.is_set():
            response = reader.read(consumer=consumer, limit=5)
            assert response.status_code == 200, response.text
            events = response.json
            if not events:
                # The consumer has acknowledged all events, because the producer is slower.
                continue
            sequences = [event["sequence"] for event in events]
            assert sequences == list(range(sequences[0], sequences[-1] + 1))
            assert sequences[0] >= last
            last = sequences[0]
            response = reader.acknowledge(events[0]["event"]["id"], consumer=consumer)
            assert response.status_code in (200, 404), response.text

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read_from_a_deleted_position), pool.submit(consume, "one"), pool.submit(consume, "two")]
        producer = pool.submit(produce)
        while not producer.done():
            delete_due()
        is_done.set()
        for future in (producer, *readers):
            future.result()
    delete_due()
    assert api.positions() == list(range(601, 611))


@pytest.mark.fault
def test_worker_that_is_killed_during_deletions_leaves_a_consistent_stream(api, db, settings, eventually):
    """Each batch is one transaction; the next worker continues with the next one."""
    for _ in range(8):
        ids = api.append_events(1000)
    api.acknowledge(api.read(limit=1).json[0]["event"]["id"])
    api.put_retention(max_events=10)
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "AMQP_URL": f"amqp://nobody:nothing@127.0.0.1:{free_port()}/",
        "WORKER_BIND": "127.0.0.1:0",
    }

    def first_position():
        with db.transaction() as tx:
            return tx.value("SELECT first FROM streams WHERE name = %(name)s", name=api.stream)

    def has_worker_sessions():
        with db.transaction() as tx:
            return tx.value(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = 'event-worker' AND datname = current_database()"
            )

    while (before := first_position()) < 7_991:
        worker = subprocess.Popen([sys.executable, "-m", "event_service", "worker"], env=environment)
        try:
            eventually(lambda: first_position() > before, within_seconds=120)
        finally:
            worker.kill()
            worker.wait()
        # Postgres may still commit the last batch of the killed worker.
        eventually(lambda: not has_worker_sessions())
        first = first_position()
        assert api.positions("from=1")[0] == first
        assert api.read(limit=1).json[0]["sequence"] == first
        assert api.client.get("/invariants").json["status"] == "OK"
    assert api.positions() == list(range(7_991, 8_001))
    (state,) = api.consumers()
    assert (state["offset"], state["missed"]) == (7_990, 7_989)
    assert api.get(f"/events/{ids[-1]}").json["position"] == 8_000
