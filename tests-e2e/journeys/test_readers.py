"""Readers beside writers see every event once and in order, whatever happens to the processes between them."""

import secrets
import threading
import time

from quintet_e2e.clients import all_at_once, attempt, crowd, done
from quintet_e2e.faults import SERVICE_BACK_WITHIN, Watched, assert_healed, chosen_random
from quintet_e2e.streams import body, events_of, path_of
from quintet_testing.waiting import eventually

WRITERS = 8
# Of every other writer.
MOST_AT_ONCE = 10
KILLS = 6
ROUNDS_OF_ACKNOWLEDGEMENTS = 10


class Reader:
    """Reads a page, remembers it, acknowledges it: what was not acknowledged comes again."""

    def __init__(self, client, stream, consumer):
        self.client, self.path = client, f"{path_of(stream)}/events"
        self.headers = {"X-Consumer-ID": consumer}
        self.seen = []

    def read_a_page(self, wait=1):
        query = f"?eventName=OrderPlaced&limit=100&wait={wait}"
        tried = attempt(lambda: self.client.get(self.path + query, headers=self.headers))
        if tried.is_away or tried.answer.status_code == 404:
            time.sleep(0.05)
            return
        page = done(tried.answer)
        if page:
            last = f"{self.path}/{page[-1]['event']['id']}"
            acknowledgement = {"action": "ACK", "upTo": "1"}
            answer = self.client.until_known("POST", last, headers=self.headers, data=acknowledgement)
            assert done(answer) == "OK"
            self.seen += [event["event"]["id"] for event in page]


class Pager:
    """Follows the stream by position, and remembers nothing else."""

    def __init__(self, client, stream):
        self.client, self.path = client, f"{path_of(stream)}/events"
        self.seen = []

    def read_a_page(self):
        tried = attempt(lambda: self.client.get(f"{self.path}?from={len(self.seen) + 1}&limit=100"))
        if tried.is_ok:
            self.seen += tried.answer.json()
        time.sleep(0.02)


def write_while_killing(stack, client, stream):
    """The id of each event, by its payload; unknown outcomes are asked for again with the same key."""
    random, watched, appended, lock = chosen_random(), Watched(), {}, threading.Lock()
    headers = {"X-Producer-ID": "writer"}
    reader, pager = Reader(client, stream, "reader"), Pager(client, stream)

    def write(writer):
        several = writer % 2 == 1
        marks = [secrets.token_hex(8) for _ in range(random.randint(1, MOST_AT_ONCE) if several else 1)]
        events = [body(mark=mark, writer=writer) for mark in marks]
        posted = events if several else events[0]
        answer = done(client.until_known("POST", reader.path, headers=headers, json=posted))
        with lock:
            appended.update(zip(marks, answer if several else [answer], strict=True))
        watched.note(attempt(lambda: client.get(path_of(stream))))

    with (
        crowd(1, lambda _: reader.read_a_page()),
        crowd(1, lambda _: pager.read_a_page()),
        crowd(WRITERS, write),
    ):
        for number in range(KILLS):
            time.sleep(random.uniform(0.2, 0.8))
            killed = time.monotonic()
            if number % 3:
                stack.kill_a_gunicorn_worker("event-web", random)
            else:
                stack.kill_gunicorn("event-web")
            watched.wait_until_unharmed(killed, SERVICE_BACK_WITHIN)
    eventually(lambda: reader.read_a_page(wait=0) or len(reader.seen) >= len(appended), 30)
    eventually(lambda: pager.read_a_page() or len(pager.seen) >= len(appended), 30)
    return appended, reader, pager


def test_readers_miss_nothing_while_the_web_processes_are_killed(stack, client):
    stream = f"busy {secrets.token_hex(4)}"
    done(client.post(f"{path_of(stream)}/events", json=body(mark="first"), headers={"X-Producer-ID": "writer"}))
    appended, reader, pager = write_while_killing(stack, client, stream)
    events = events_of(client, stream)
    print(f"{len(events)} events")
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    stored = {event["payload"]["mark"]: event["event"]["id"] for event in events[1:]}
    assert len(stored) == len(events) - 1, "an append is there once, however often it was asked for"
    assert stored == appended
    assert reader.seen == [event["event"]["id"] for event in events]
    assert pager.seen == events
    assert_healed(stack)


def test_many_acknowledgements_of_one_event_move_the_offset_by_one(client):
    stream = f"busy {secrets.token_hex(4)}"
    path = f"{path_of(stream)}/events"
    several = [body() for _ in range(ROUNDS_OF_ACKNOWLEDGEMENTS)]
    ids = done(client.post(path, json=several, headers={"X-Producer-ID": "writer"}))
    headers = {"X-Consumer-ID": "many"}
    for place, event_id in enumerate(ids, start=1):

        def acknowledge(_, event_id=event_id):
            return done(client.post(f"{path}/{event_id}", data={"action": "ACK"}, headers=headers))

        assert all_at_once(20, acknowledge) == ["OK"] * 20
        (consumer,) = done(client.get(f"{path_of(stream)}/consumers"))["consumers"]
        assert consumer["offset"] == place
