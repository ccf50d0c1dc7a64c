"""Readers that wait: they cost others nothing, are answered at once, and resume where they were cut off."""

import json
import secrets
import time
from contextlib import closing

from quintet_e2e.clients import attempt, done
from quintet_e2e.faults import SERVICE_BACK_WITHIN, assert_healed
from quintet_e2e.sockets import collect, waiting
from quintet_e2e.streams import body, path_of
from quintet_testing.waiting import eventually

WAITERS = 200
REQUESTS = 200
OTHERS_WITHIN = 0.5
TOLD_WITHIN = 0.2
# What a busy machine may add between the append's answer and the moment that this process sees the reader's.
SLACK = 1.0


class Stream:
    def __init__(self, client):
        self.client, self.path = client, path_of(f"awaited {secrets.token_hex(4)}")

    def append(self, *names):
        bodies = [body(name) for name in names]
        return done(self.client.post(f"{self.path}/events", json=bodies, headers={"X-Producer-ID": "one"}))

    def waiting(self, consumers, name="OrderPlaced", seconds=20):
        query = f"?eventName={name}&limit=10&wait={seconds}"
        headers = [{"X-Consumer-ID": consumer} for consumer in consumers]
        return waiting(self.client, f"{self.path}/events{query}", headers)

    def live(self, name="*", after=None):
        """Server-sent events, in a response that goes on until it is closed."""
        headers = {"Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        answer = self.client.get(f"{self.path}/live?eventName={name}", headers=headers, stream=True)
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        return answer


def alone(client, path):
    """On a connection of its own: one that is kept may be closed by a reload of the gateway while it is used again."""
    return client.get(path, headers={"Connection": "close"})


def test_two_hundred_waiting_readers_harm_nobody_and_are_all_told_at_once(client):
    stream = Stream(client)
    stream.append("Other")
    paths = ["/sequence", f"{stream.path}/events?from=1&limit=10", "/sequences", stream.path]
    with stream.waiting([f"consumer-{number}" for number in range(WAITERS)]) as waiters:
        tried = [attempt(lambda path=path: alone(client, path)) for path in paths * (REQUESTS // len(paths))]
        collect(waiters, 0.1)
        assert not any(each.answered for each in waiters), "they still wait"
        (event_id,) = stream.append("OrderPlaced")
        appended = time.monotonic()
        collect(waiters, 10)
    assert not [each.told for each in tried if not each.is_ok]
    seconds = sorted(each.seconds for each in tried)
    print(f"others: median {seconds[REQUESTS // 2]:.3f} s, 99 % within {seconds[-2]:.3f} s")
    assert seconds[REQUESTS * 99 // 100 - 1] < OTHERS_WITHIN
    late = sorted(each.answered - appended for each in waiters)
    print(f"told: median after {late[WAITERS // 2]:.3f} s, the last after {late[-1]:.3f} s")
    assert late[-1] < TOLD_WITHIN + SLACK
    assert all(" 200 OK" in each.text and event_id in each.text for each in waiters)


def test_a_waiting_reader_is_told_within_a_fifth_of_a_second(client):
    stream = Stream(client)
    stream.append("Other")
    seconds = []
    for number in range(10):
        with stream.waiting(["one"], f"Awaited{number}") as (reader,):
            collect([reader], 0.2)
            stream.append(f"Awaited{number}")
            appended = time.monotonic()
            collect([reader], 10)
        seconds.append(reader.answered - appended)
    print(f"told: median after {sorted(seconds)[5]:.3f} s, the last after {max(seconds):.3f} s")
    assert sorted(seconds)[5] < TOLD_WITHIN
    assert max(seconds) < TOLD_WITHIN + SLACK


def test_when_the_time_is_up_a_waiting_reader_gets_nothing(client):
    stream = Stream(client)
    stream.append("Other")
    began = time.monotonic()
    with stream.waiting(["one"], seconds=1) as (reader,):
        collect([reader], 10)
    assert 0.8 < reader.answered - began < 1 + SLACK
    assert reader.text.endswith("[]")


def next_events(answer, count):
    """(id, event) pairs of a live stream."""
    found, position = [], None
    for line in answer.iter_lines(decode_unicode=True):
        field, _, value = line.partition(": ")
        if field == "id":
            position = int(value)
        elif field == "data":
            found.append((position, json.loads(value)))
            if len(found) == count:
                return found
    raise AssertionError(f"the stream ended after {found}")


def test_a_live_stream_resumes_after_the_last_event_without_a_gap_or_a_repeat(client):
    stream = Stream(client)
    stream.append("A", "B", "A")
    with closing(stream.live(after=0)) as live:
        first = next_events(live, 2)
    assert [position for position, _ in first] == [1, 2]
    with closing(stream.live(after=2)) as live:
        assert [position for position, _ in next_events(live, 1)] == [3]
    with closing(stream.live("A", after=1)) as live:
        stream.append("B", "A")
        events = next_events(live, 2)
    assert [(position, event["event"]["name"]) for position, event in events] == [(3, "A"), (5, "A")]
    for position, event in [*first, *events]:
        assert done(client.get(f"{stream.path}/events/{event['event']['id']}")) == event
        assert event["position"] == position


def test_a_live_stream_begins_with_now(client):
    stream = Stream(client)
    stream.append("Old")
    with closing(stream.live()) as live:
        stream.append("New")
        assert [event["event"]["name"] for _, event in next_events(live, 1)] == ["New"]


def test_a_live_stream_that_is_cut_by_a_fault_goes_on_where_it_was(stack, client):
    stream = Stream(client)
    stream.append("A", "A")
    with closing(stream.live(after=0)) as live:
        (last, _) = next_events(live, 2)[-1]
        stack.kill_gunicorn("event-web")
    eventually(lambda: stream.append("A"), SERVICE_BACK_WITHIN)
    with closing(stream.live(after=last)) as live:
        assert [position for position, _ in next_events(live, 1)] == [3]
    assert_healed(stack)
