"""Readers of one consumer divide its events with leases while retention deletes events and processes are killed."""

import itertools
import secrets
import threading
import time

import pytest

from quintet_e2e.clients import attempt_request, background_threads, describe, ok_json
from quintet_e2e.faults import assert_recovered, seeded_random
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_testing.waiting import eventually

READERS, WRITERS = 6, 3
VICTIMS = ["a web process", "the web master", "event-worker", "event-worker", "postgres"]
KEPT_EVENTS = 100
# Retention deletes an event within this time after it is due.
RETENTION_SECONDS = 60
# Long enough to acknowledge a page, short enough for the test to wait until the leases of lost responses end.
LEASE_SECONDS = 5
CLOCK_TOLERANCE_SECONDS = 0.1


class Workers:
    """Readers with the same consumer ID that acknowledge each event separately, and record every delivery.

    `processed` contains the events that were acknowledged, or deleted after their delivery.
    """

    def __init__(self, client, stream):
        self.client, self.stream, self.random = client, stream, seeded_random()
        self.headers = {"X-Consumer-ID": "workers"}
        self.lock, self.deliveries, self.nacks = threading.Lock(), {}, set()
        self.processed = set()

    def process_page(self, _number=0):
        query = f"?eventName=OrderPlaced&limit=10&wait=1&lease={LEASE_SECONDS}"
        path = f"{stream_path(self.stream)}/events"
        attempt = attempt_request(lambda: self.client.get(path + query, headers=self.headers))
        if attempt.is_unavailable:
            time.sleep(0.05)
            return
        events = ok_json(attempt.response)
        with self.lock:
            for event in events:
                self.deliveries.setdefault(event["sequence"], []).append(attempt)
            self.random.shuffle(events)
        for event in events:
            self._acknowledge(f"{path}/{event['event']['id']}", event["sequence"])

    def _acknowledge(self, path, sequence):
        form = {"action": "ACK"}
        with self.lock:
            if sequence % 10 == 0 and sequence not in self.nacks:
                self.nacks.add(sequence)
                form = {"action": "NACK", "delay": "1"}
        response = self.client.send_with_retry("POST", path, headers=self.headers, data=form)
        assert (response.status_code, response.json()) in ((200, "OK"), (404, "Not Found")), describe(response)
        if form["action"] == "ACK":
            with self.lock:
                self.processed.add(sequence)

    def delivery_count(self):
        with self.lock:
            return sum(map(len, self.deliveries.values()))

    def state(self):
        (state,) = ok_json(self.client.get(f"{stream_path(self.stream)}/consumers"))["consumers"]
        return state

    def assert_no_overlapping_leases(self):
        """Check that no event was delivered again while its lease lasted, unless it was released by a NACK."""
        for sequence, attempts in self.deliveries.items():
            if sequence in self.nacks:
                continue
            attempts.sort(key=lambda attempt: attempt.ended_at)
            for first, second in itertools.pairwise(attempts):
                seconds = second.ended_at - first.started_at
                assert seconds >= LEASE_SECONDS - CLOCK_TOLERANCE_SECONDS, f"sequence {sequence}: {seconds} s"


def append_while_killing(stack, client, stream, workers):
    random = seeded_random()
    path, headers = f"{stream_path(stream)}/events", {"X-Producer-ID": "writer"}

    def write(_number):
        ok_json(client.send_with_retry("POST", path, headers=headers, json=event_body()))
        # Not faster than the readers process events, each with a request.
        time.sleep(0.05)

    with background_threads(READERS, workers.process_page), background_threads(WRITERS, write):
        for victim in random.sample(VICTIMS, len(VICTIMS)):
            time.sleep(random.uniform(0.3, 1))
            delivery_count = workers.delivery_count()
            if victim == "a web process":
                stack.kill_gunicorn_worker("event-web", random)
            elif victim == "the web master":
                stack.kill_gunicorn_master("event-web")
            else:
                stack.kill(victim)
            eventually(lambda count=delivery_count: workers.delivery_count() > count + READERS)
        eventually(lambda: position(client, stream) > 2 * KEPT_EVENTS, 60)


def position(client, stream):
    return ok_json(client.get(stream_path(stream)))["position"]


def kept_sequences(client, stream):
    return [event["sequence"] for event in read_events(client, stream)]


@pytest.mark.fault
@ON_ONE_STACK
def test_no_event_is_lost_and_no_lease_is_shared_while_processes_are_killed(stack, client):
    stream = f"shared {secrets.token_hex(4)}"
    path, headers = f"{stream_path(stream)}/events", {"X-Producer-ID": "writer"}
    ok_json(client.post(path, json=event_body(), headers=headers))
    ok_json(client.put(f"{stream_path(stream)}/retention", json={"max_events": KEPT_EVENTS}))
    workers = Workers(client, stream)
    append_while_killing(stack, client, stream, workers)
    last = position(client, stream)
    eventually(lambda: workers.process_page() or workers.state()["lag"] == 0, 120)
    state = workers.state()
    print(f"{last} events, {workers.delivery_count()} deliveries, {state.get('missed', 0)} missed")
    assert state["offset"] == last
    not_processed = set(range(1, last + 1)) - workers.processed
    assert len(not_processed) <= state.get("missed", 0) <= last - KEPT_EVENTS
    workers.assert_no_overlapping_leases()
    kept = list(range(last - KEPT_EVENTS + 1, last + 1))
    eventually(lambda: kept_sequences(client, stream) == kept, RETENTION_SECONDS)
    assert_recovered(stack)
