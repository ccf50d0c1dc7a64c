"""Waiting readers do not affect other requests, receive events immediately, and resume where they were disconnected."""

import json
import secrets
import statistics
import time
from contextlib import closing

import pytest

from quintet_e2e.clients import attempt_request, ok_json
from quintet_e2e.faults import SERVICE_RECOVERY_SECONDS, assert_recovered
from quintet_e2e.sockets import pending_requests, read_responses
from quintet_e2e.stacks import ALSO_ON_REPLICAS
from quintet_e2e.streams import event_body, stream_path
from quintet_testing.waiting import eventually

READERS = 200
REQUESTS = 200
# Longer than the requests during which readers wait; the maximum of the service.
WAIT_SECONDS = 30
MAX_DELAY_SECONDS = 0.2


class UniqueStream:
    """A stream with a unique name."""

    def __init__(self, client):
        self.client, self.path = client, stream_path(f"awaited {secrets.token_hex(4)}")

    def append(self, *names):
        bodies = [event_body(name) for name in names]
        return ok_json(self.client.post(f"{self.path}/events", json=bodies, headers={"X-Producer-ID": "one"}))

    def waiting_readers(self, consumers, name="OrderPlaced", wait_seconds=WAIT_SECONDS):
        query = f"?eventName={name}&limit=10&wait={wait_seconds}"
        headers = [{"X-Consumer-ID": consumer} for consumer in consumers]
        return pending_requests(self.client, f"{self.path}/events{query}", headers)

    def live(self, name="*", after=None):
        """Open a live stream, whose response continues until it is closed."""
        headers = {"Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        response = self.client.get(f"{self.path}/live?eventName={name}", headers=headers, stream=True)
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        return response


def get_on_new_connection(client, path):
    """Send the request on a new connection, because a reload of the gateway may close a kept one during reuse."""
    return client.get(path, headers={"Connection": "close"})


@pytest.mark.slow
def test_two_hundred_waiting_readers_receive_event_without_affecting_others(client):
    stream = UniqueStream(client)
    stream.append("Other")
    paths = ["/sequence", f"{stream.path}/events?from=1&limit=10", "/sequences", stream.path]
    with stream.waiting_readers([f"consumer-{number}" for number in range(READERS)]) as readers:
        attempts = [
            attempt_request(lambda path=path: get_on_new_connection(client, path))
            for path in paths * (REQUESTS // len(paths))
        ]
        read_responses(readers, 0.1)
        assert not any(reader.responded_at for reader in readers), "the readers must still wait"
        (event_id,) = stream.append("OrderPlaced")
        appended_at = time.monotonic()
        read_responses(readers, WAIT_SECONDS)
    assert not [attempt.description for attempt in attempts if not attempt.is_ok]
    seconds = sorted(attempt.seconds for attempt in attempts)
    print(f"other requests: median {seconds[REQUESTS // 2]:.3f} s, 99 % within {seconds[-2]:.3f} s")
    delays = sorted(reader.responded_at - appended_at for reader in readers)
    print(f"readers: median after {delays[READERS // 2]:.3f} s, the last after {delays[-1]:.3f} s")
    assert all(" 200 OK" in reader.text and event_id in reader.text for reader in readers)


@pytest.mark.slow
def test_waiting_reader_receives_event_within_200_ms(client):
    """On a busy machine, ten times the duration of another request is permitted as well."""
    stream = UniqueStream(client)
    stream.append("Other")
    delays = []
    for number in range(10):
        with stream.waiting_readers(["one"], f"Awaited{number}") as (reader,):
            read_responses([reader], 0.2)
            stream.append(f"Awaited{number}")
            appended_at = time.monotonic()
            read_responses([reader], WAIT_SECONDS)
        delays.append(reader.responded_at - appended_at)
    attempts = [attempt_request(lambda: get_on_new_connection(client, stream.path)) for _ in range(10)]
    median, request_seconds = (statistics.median(values) for values in (delays, [a.seconds for a in attempts]))
    print(f"reader: median after {median:.3f} s, the last after {max(delays):.3f} s; request: {request_seconds:.3f} s")
    assert median < max(MAX_DELAY_SECONDS, 10 * request_seconds)


@ALSO_ON_REPLICAS
@pytest.mark.slow
def test_waiting_reader_receives_empty_list_after_timeout(client):
    stream = UniqueStream(client)
    stream.append("Other")
    started_at = time.monotonic()
    with stream.waiting_readers(["one"], wait_seconds=1) as (reader,):
        read_responses([reader], WAIT_SECONDS)
    assert reader.responded_at - started_at > 0.8
    assert reader.text.endswith("[]\n")


def next_events(response, count):
    """Return the next (position, event) pairs of a live stream."""
    events, position = [], None
    for line in response.iter_lines(decode_unicode=True):
        field, _, value = line.partition(": ")
        if field == "id":
            position = int(value)
        elif field == "data":
            events.append((position, json.loads(value)))
            if len(events) == count:
                return events
    raise AssertionError(f"the stream ended after {events}")


@ALSO_ON_REPLICAS
def test_live_stream_resumes_after_last_event_without_gaps_or_duplicates(client):
    stream = UniqueStream(client)
    stream.append("A", "B", "A")
    with closing(stream.live(after=0)) as live:
        first_events = next_events(live, 2)
    assert [position for position, _ in first_events] == [1, 2]
    with closing(stream.live(after=2)) as live:
        assert [position for position, _ in next_events(live, 1)] == [3]
    with closing(stream.live("A", after=1)) as live:
        stream.append("B", "A")
        events = next_events(live, 2)
    assert [(position, event["event"]["name"]) for position, event in events] == [(3, "A"), (5, "A")]
    for position, event in [*first_events, *events]:
        assert ok_json(client.get(f"{stream.path}/events/{event['event']['id']}")) == event
        assert event["position"] == position


@pytest.mark.slow
def test_live_stream_starts_with_new_events(client):
    stream = UniqueStream(client)
    stream.append("Old")
    with closing(stream.live()) as live:
        stream.append("New")
        assert [event["event"]["name"] for _, event in next_events(live, 1)] == ["New"]


def test_live_stream_resumes_after_web_master_was_killed(stack, client):
    stream = UniqueStream(client)
    stream.append("A", "A")
    with closing(stream.live(after=0)) as live:
        (last_position, _) = next_events(live, 2)[-1]
        stack.kill_gunicorn_master("event-web")
    eventually(lambda: stream.append("A"), SERVICE_RECOVERY_SECONDS)
    with closing(stream.live(after=last_position)) as live:
        assert [position for position, _ in next_events(live, 1)] == [3]
    assert_recovered(stack)
