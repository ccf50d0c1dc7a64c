"""While RabbitMQ or the workers connected to it are stopped or killed, every event arrives and takes effect once."""

import os
import secrets
import threading
import time

import pytest

from quintet_e2e.clients import attempt_request, background_threads, ok_json
from quintet_e2e.faults import BROKER_RECOVERY_SECONDS, LoadMonitor, assert_recovered, seeded_random
from quintet_e2e.sequences import UniqueSequence
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_e2e.subscriber import subscription
from quintet_testing.waiting import eventually

pytestmark = [pytest.mark.fault, ON_ONE_STACK]

# E2E_BROKER_DOWN_SECONDS=60 extends the outage to a minute.
DOWN_SECONDS = float(os.environ.get("E2E_BROKER_DOWN_SECONDS") or 12)
BROKER_START_SECONDS = 90
# Threads for each kind of request.
APPENDERS, WRAPPERS, READERS = 6, 2, 2


class MixedLoad:
    """Appends, wrap-arounds and reads without pauses; any unsuccessful response fails the test."""

    def __init__(self, client):
        self.client, self.monitor = client, LoadMonitor()
        self.stream = f"mixed {secrets.token_hex(4)}"
        self.sequences = [UniqueSequence(client) for _ in range(WRAPPERS)]
        self.wrap_counts = [0] * WRAPPERS
        self.event_ids = []
        self.max_seconds = 0.0
        self._lock = threading.Lock()

    def work(self, number):
        if number < APPENDERS:
            self._append()
        elif number < APPENDERS + WRAPPERS:
            self._wrap_around(number - APPENDERS)
        else:
            self._read(number)

    def _send_timed(self, send):
        attempt = attempt_request(send)
        self.monitor.record(attempt)
        self.max_seconds = max(self.max_seconds, attempt.seconds)
        return ok_json(attempt.response)

    def _append(self):
        path, headers = f"{stream_path(self.stream)}/events", {"X-Producer-ID": "mixed-load"}
        event_id = self._send_timed(lambda: self.client.post(path, json=event_body(), headers=headers))
        with self._lock:
            self.event_ids.append(event_id)
        time.sleep(0.02)

    def _wrap_around(self, index):
        path = f"/sequences/{self.sequences[index].name}/next"
        self._send_timed(lambda: self.client.post(path, json={"n": 10}))
        self.wrap_counts[index] += 1
        time.sleep(0.05)

    def _read(self, number):
        headers = {"X-Consumer-ID": f"reader-{number}"}
        path = f"{stream_path(self.stream)}/events"
        query = "?eventName=OrderPlaced&limit=100&wait=1"
        page = self._send_timed(lambda: self.client.get(path + query, headers=headers))
        if page:
            last = f"{path}/{page[-1]['event']['id']}"
            acknowledgement = {"action": "ACK", "upTo": "1"}
            self._send_timed(lambda: self.client.post(last, data=acknowledgement, headers=headers))
        self._send_timed(lambda: self.client.get("/sequence?n=3"))


def assert_each_wrap_published_once(load):
    """Assert that each wrap-around has one event, in order."""
    for sequence, wraps in zip(load.sequences, load.wrap_counts, strict=True):
        eventually(lambda sequence=sequence, wraps=wraps: len(sequence.events()) >= wraps, BROKER_RECOVERY_SECONDS)
        assert [event["payload"]["cycles"] for event in sequence.events()] == list(range(1, wraps + 1))


def assert_every_event_received(subscriber, load):
    """Assert that no message is missing; duplicates are permitted, but must be identical."""
    expected_ids = set(load.event_ids)
    eventually(lambda: subscriber.receive() or subscriber.message_ids >= expected_ids, BROKER_RECOVERY_SECONDS)
    assert subscriber.message_ids == expected_ids
    print(f"{len(expected_ids)} events appended, {len(subscriber.received)} received")
    assert len({(properties.message_id, body) for properties, body in subscriber.received}) == len(expected_ids)
    properties = subscriber.received[0][0]
    assert (properties.app_id, properties.type, properties.delivery_mode) == ("event", "OrderPlaced", 2)
    assert properties.headers == {"stream": load.stream, "event": "OrderPlaced"}
    assert properties.correlation_id.startswith(load.client.request_id_prefix)


def test_http_continues_while_broker_is_down_and_all_events_arrive_once_afterwards(stack, client):
    load = MixedLoad(client)
    with subscription(stack, load.stream.replace(" ", "%20") + ".#") as subscriber:
        load.work(0)
        with background_threads(APPENDERS + WRAPPERS + READERS, load.work):
            time.sleep(1)
            stack.stop("rabbitmq")
            before = len(load.event_ids), sum(load.wrap_counts)
            time.sleep(DOWN_SECONDS)
            during = len(load.event_ids) - before[0], sum(load.wrap_counts) - before[1]
            eventually(lambda: client.get("/health/sequence-service").json()["status"] == "DEGRADED")
            stack.start("rabbitmq")
            eventually(stack.is_broker_reachable, BROKER_START_SECONDS)
            time.sleep(1)
        assert load.monitor.failure_count == 0
        print(f"{during} events and wrap-arounds during the outage; slowest request {load.max_seconds:.2f} s")
        assert min(during) > DOWN_SECONDS
        # Append an event that the subscriber cannot have received yet.
        load.work(0)
        assert_every_event_received(subscriber, load)
    assert_each_wrap_published_once(load)
    ids = [event["event"]["id"] for event in read_events(client, load.stream)]
    assert sorted(ids) == sorted(load.event_ids)
    assert_recovered(stack)


def test_each_wrap_is_published_once_while_workers_and_broker_are_killed(stack, client):
    random, sequence, wraps = seeded_random(), UniqueSequence(client), []

    def wrap_around(_):
        sequence.wrap_around()
        wraps.append(time.monotonic())
        time.sleep(0.03)

    victims = ["event-worker"] * 4 + ["sequence-worker"] * 2 + ["rabbitmq"]
    random.shuffle(victims)
    with background_threads(1, wrap_around):
        for victim in victims:
            time.sleep(random.uniform(0.3, 1.0))
            stack.kill(victim)
            eventually(stack.is_broker_reachable, BROKER_START_SECONDS)
            reachable_at = time.monotonic()
            expected = len(wraps) + 1
            eventually(lambda expected=expected: len(sequence.events()) >= expected, BROKER_RECOVERY_SECONDS)
            print(f"{victim}: events arrive again after {time.monotonic() - reachable_at:.2f} s")
    eventually(lambda: len(sequence.events()) >= len(wraps), BROKER_RECOVERY_SECONDS)
    assert [event["payload"]["cycles"] for event in sequence.events()] == list(range(1, len(wraps) + 1))
    assert_recovered(stack)
