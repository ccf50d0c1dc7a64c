"""Readers see every event once and in order while writers append and processes are killed."""

import secrets
import threading
import time

import pytest

from quintet_e2e.clients import attempt_request, background_threads, ok_json, run_concurrently
from quintet_e2e.faults import (
    POSTGRES_RECOVERY_SECONDS,
    SERVICE_RECOVERY_SECONDS,
    LoadMonitor,
    assert_recovered,
    seeded_random,
)
from quintet_e2e.stacks import ALSO_ON_REPLICAS, ON_ONE_STACK
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_testing.waiting import eventually

WRITERS = 8
# Events per append; every other writer appends several.
MAX_BATCH_SIZE = 10
VICTIMS = ["a web process", "a web process", "the web master", "the web master", "postgres"]
EVENTS_TO_ACKNOWLEDGE = 10


class Reader:
    """A consumer that acknowledges each page and records its event IDs; unacknowledged events are delivered again."""

    def __init__(self, client, stream, consumer):
        self.client, self.path = client, f"{stream_path(stream)}/events"
        self.headers = {"X-Consumer-ID": consumer}
        self.event_ids = []

    def read_page(self, wait_seconds=1):
        query = f"?eventName=OrderPlaced&limit=100&wait={wait_seconds}"
        attempt = attempt_request(lambda: self.client.get(self.path + query, headers=self.headers))
        if attempt.is_unavailable or attempt.response.status_code == 404:
            time.sleep(0.05)
            return
        page = ok_json(attempt.response)
        if page:
            last = f"{self.path}/{page[-1]['event']['id']}"
            acknowledgement = {"action": "ACK", "upTo": "1"}
            response = self.client.send_with_retry("POST", last, headers=self.headers, data=acknowledgement)
            assert ok_json(response) == "OK"
            self.event_ids += [event["event"]["id"] for event in page]


class PositionReader:
    """A reader that reads the stream by position and acknowledges nothing."""

    def __init__(self, client, stream):
        self.client, self.path = client, f"{stream_path(stream)}/events"
        self.events = []

    def read_page(self):
        attempt = attempt_request(lambda: self.client.get(f"{self.path}?from={len(self.events) + 1}&limit=100"))
        if attempt.is_ok:
            self.events += attempt.response.json()
        time.sleep(0.02)


def write_while_killing(stack, client, stream):
    """Append with retries while processes are killed; return the event IDs by mark and both readers."""
    random, monitor, event_ids, lock = seeded_random(), LoadMonitor(), {}, threading.Lock()
    headers = {"X-Producer-ID": "writer"}
    reader, position_reader = Reader(client, stream, "reader"), PositionReader(client, stream)

    def write(writer):
        is_batch = writer % 2 == 1
        marks = [secrets.token_hex(8) for _ in range(random.randint(1, MAX_BATCH_SIZE) if is_batch else 1)]
        events = [event_body(mark=mark, writer=writer) for mark in marks]
        request = events if is_batch else events[0]
        response = ok_json(client.send_with_retry("POST", reader.path, headers=headers, json=request))
        with lock:
            event_ids.update(zip(marks, response if is_batch else [response], strict=True))
        monitor.record(attempt_request(lambda: client.get(stream_path(stream))))

    with (
        background_threads(1, lambda _: reader.read_page()),
        background_threads(1, lambda _: position_reader.read_page()),
        background_threads(WRITERS, write),
    ):
        for victim in random.sample(VICTIMS, len(VICTIMS)):
            time.sleep(random.uniform(0.2, 0.8))
            killed_at, max_seconds = time.monotonic(), SERVICE_RECOVERY_SECONDS
            if victim == "a web process":
                stack.kill_gunicorn_worker("event-web", random)
            elif victim == "the web master":
                stack.kill_gunicorn_master("event-web")
            else:
                stack.kill(victim)
                eventually(stack.is_database_reachable, 60)
                killed_at, max_seconds = time.monotonic(), POSTGRES_RECOVERY_SECONDS
            monitor.wait_until_recovered(killed_at, max_seconds)
    eventually(lambda: reader.read_page(wait_seconds=0) or len(reader.event_ids) >= len(event_ids), 30)
    eventually(lambda: position_reader.read_page() or len(position_reader.events) >= len(event_ids), 30)
    return event_ids, reader, position_reader


@pytest.mark.fault
@ON_ONE_STACK
def test_readers_see_all_events_in_order_while_processes_are_killed(stack, client):
    stream = f"busy {secrets.token_hex(4)}"
    ok_json(
        client.post(f"{stream_path(stream)}/events", json=event_body(mark="first"), headers={"X-Producer-ID": "writer"})
    )
    event_ids, reader, position_reader = write_while_killing(stack, client, stream)
    events = read_events(client, stream)
    print(f"{len(events)} events")
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    stored = {event["payload"]["mark"]: event["event"]["id"] for event in events[1:]}
    assert len(stored) == len(events) - 1, "each append must be stored once, regardless of retries"
    assert stored == event_ids
    assert reader.event_ids == [event["event"]["id"] for event in events]
    assert position_reader.events == events
    assert_recovered(stack)


@ALSO_ON_REPLICAS
@pytest.mark.slow
def test_concurrent_acknowledgements_of_one_event_advance_offset_once(client):
    stream = f"busy {secrets.token_hex(4)}"
    path = f"{stream_path(stream)}/events"
    events = [event_body() for _ in range(EVENTS_TO_ACKNOWLEDGE)]
    ids = ok_json(client.post(path, json=events, headers={"X-Producer-ID": "writer"}))
    headers = {"X-Consumer-ID": "many"}
    for offset, event_id in enumerate(ids, start=1):

        def acknowledge(_, event_id=event_id):
            return ok_json(client.post(f"{path}/{event_id}", data={"action": "ACK"}, headers=headers))

        assert run_concurrently(20, acknowledge) == ["OK"] * 20
        (consumer,) = ok_json(client.get(f"{stream_path(stream)}/consumers"))["consumers"]
        assert consumer["offset"] == offset
