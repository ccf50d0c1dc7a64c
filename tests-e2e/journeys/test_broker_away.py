"""RabbitMQ is stopped or killed, and so is what stands at its two ends: everything arrives, and once in effect."""

import os
import secrets
import threading
import time

from quintet_e2e.clients import attempt, crowd, done
from quintet_e2e.faults import BROKER_BACK_WITHIN, Watched, assert_healed, chosen_random
from quintet_e2e.sequences import Own
from quintet_e2e.streams import body, events_of, path_of
from quintet_e2e.subscriber import subscribed
from quintet_testing.waiting import eventually

# A minute where it may take that long: E2E_BROKER_DOWN_SECONDS=60.
DOWN_SECONDS = float(os.environ.get("E2E_BROKER_DOWN_SECONDS") or 12)
BROKER_STARTS_WITHIN = 90
NOTHING_TAKES_LONGER_THAN = 5
APPENDERS, WRAPPERS, READERS = 6, 2, 2


class Everybody:
    """Uses everything without a pause; any answer but a good one is raised."""

    def __init__(self, client):
        self.client, self.watched = client, Watched()
        self.stream = f"everything {secrets.token_hex(4)}"
        self.sequences = [Own(client) for _ in range(WRAPPERS)]
        self.wraps = [0] * WRAPPERS
        self.appended = []
        self.slowest = 0.0
        self._lock = threading.Lock()

    def work(self, number):
        if number < APPENDERS:
            self._append()
        elif number < APPENDERS + WRAPPERS:
            self._wrap(number - APPENDERS)
        else:
            self._read(number)

    def _timed(self, send):
        tried = attempt(send)
        self.watched.note(tried)
        self.slowest = max(self.slowest, tried.seconds)
        return done(tried.answer)

    def _append(self):
        path, headers = f"{path_of(self.stream)}/events", {"X-Producer-ID": "everybody"}
        event_id = self._timed(lambda: self.client.post(path, json=body(), headers=headers))
        with self._lock:
            self.appended.append(event_id)
        time.sleep(0.02)

    def _wrap(self, which):
        path = f"/sequences/{self.sequences[which].name}/next"
        self._timed(lambda: self.client.post(path, json={"n": 10}))
        self.wraps[which] += 1
        time.sleep(0.05)

    def _read(self, number):
        headers = {"X-Consumer-ID": f"reader-{number}"}
        path = f"{path_of(self.stream)}/events"
        page = self._timed(lambda: self.client.get(f"{path}?eventName=OrderPlaced&limit=100&wait=1", headers=headers))
        if page:
            last = f"{path}/{page[-1]['event']['id']}"
            acknowledgement = {"action": "ACK", "upTo": "1"}
            self._timed(lambda: self.client.post(last, data=acknowledgement, headers=headers))
        self._timed(lambda: self.client.get("/sequence?n=3"))


def assert_each_wrap_is_told_once(everybody):
    """In order; all of them have been appended when the last one has."""
    for own, wraps in zip(everybody.sequences, everybody.wraps, strict=True):
        eventually(lambda own=own, wraps=wraps: len(own.facts()) >= wraps, BROKER_BACK_WITHIN)
        assert [fact["payload"]["cycles"] for fact in own.facts()] == list(range(1, wraps + 1))


def assert_everything_is_on_the_wire(subscriber, everybody):
    """Doubled perhaps, missing never; and each copy of one message is the same."""
    wanted = set(everybody.appended)
    eventually(lambda: subscriber.receive() or subscriber.message_ids >= wanted, BROKER_BACK_WITHIN)
    assert subscriber.message_ids == wanted
    print(f"{len(wanted)} events appended, {len(subscriber.received)} received")
    assert len({(properties.message_id, body) for properties, body in subscriber.received}) == len(wanted)
    sent = subscriber.received[0][0]
    assert (sent.app_id, sent.type, sent.delivery_mode) == ("event", "OrderPlaced", 2)
    assert sent.headers == {"stream": everybody.stream, "event": "OrderPlaced"}
    assert sent.correlation_id.startswith(everybody.client.label)


def test_with_the_broker_down_http_goes_on_and_then_all_events_arrive_once(stack, client):
    everybody = Everybody(client)
    with subscribed(stack, everybody.stream.replace(" ", "%20") + ".#") as subscriber:
        everybody.work(0)
        with crowd(APPENDERS + WRAPPERS + READERS, everybody.work):
            time.sleep(1)
            stack.stop("rabbitmq")
            down = len(everybody.appended), sum(everybody.wraps)
            time.sleep(DOWN_SECONDS)
            meanwhile = len(everybody.appended) - down[0], sum(everybody.wraps) - down[1]
            eventually(lambda: client.get("/health/sequence-service").json()["status"] == "DEGRADED", 20)
            stack.start("rabbitmq")
            eventually(stack.broker_answers, BROKER_STARTS_WITHIN)
            time.sleep(1)
        assert everybody.watched.failed == 0
        assert everybody.slowest < NOTHING_TAKES_LONGER_THAN
        print(f"{meanwhile} events and wraps while it was down; slowest request {everybody.slowest:.2f} s")
        assert min(meanwhile) > DOWN_SECONDS
        # One more, which the subscriber is sure not to know yet.
        everybody.work(0)
        assert_everything_is_on_the_wire(subscriber, everybody)
    assert_each_wrap_is_told_once(everybody)
    ids = [event["event"]["id"] for event in events_of(client, everybody.stream)]
    assert sorted(ids) == sorted(everybody.appended)
    assert_healed(stack)


def test_wraps_are_told_once_while_workers_and_the_broker_are_killed(stack, client):
    random, own, wraps = chosen_random(), Own(client), []

    def wrap(_):
        own.wrap()
        wraps.append(time.monotonic())
        time.sleep(0.03)

    victims = ["event-worker"] * 4 + ["sequence-worker"] * 2 + ["rabbitmq"]
    random.shuffle(victims)
    with crowd(1, wrap):
        for victim in victims:
            time.sleep(random.uniform(0.3, 1.0))
            stack.kill(victim)
            eventually(stack.broker_answers, BROKER_STARTS_WITHIN)
            back = time.monotonic()
            wanted = len(wraps) + 1
            eventually(lambda wanted=wanted: len(own.facts()) >= wanted, BROKER_BACK_WITHIN)
            print(f"{victim}: told again after {time.monotonic() - back:.2f} s")
    eventually(lambda: len(own.facts()) >= len(wraps), BROKER_BACK_WITHIN)
    assert [fact["payload"]["cycles"] for fact in own.facts()] == list(range(1, len(wraps) + 1))
    assert_healed(stack)
