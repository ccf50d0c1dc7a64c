"""Readers and writers on two replicas while Redis is killed, suspended, flushed, full, unreachable or rolled back.

Each sprocket has one writer, which increments its teeth. A reader that begins after a write has completed must see
that write or a later one.
"""

import os
import random
import threading
import time

import pytest
import requests

FAULT_COUNT = 14
WRITERS, READERS = 3, 6


@pytest.fixture
def own_redis(start_redis):
    return start_redis("--maxmemory-policy", "noeviction")


class Replica:
    """A web server that reaches Redis through its own symbolic link; removing the link makes Redis unreachable."""

    def __init__(self, settings, redis, name, start_web):
        self.link, self.socket = redis.folder / f"{name}.sock", redis.folder / "redis.sock"
        self.connect()
        self.base = start_web(settings.model_copy(update={"redis_url": f"unix://{self.link}"})).base

    def connect(self):
        if not self.link.is_symlink():
            self.link.symlink_to(self.socket)

    def disconnect(self):
        self.link.unlink(missing_ok=True)


@pytest.fixture
def replicas(settings, db, own_redis, start_web):
    return [Replica(settings, own_redis, name, start_web) for name in ("one", "other")]


def redis_faults(redis, replicas, rng):
    def kill():
        redis.kill()
        time.sleep(rng.uniform(0, 1))
        redis.start()

    def suspend():
        redis.suspend()
        time.sleep(rng.uniform(0.1, 2))
        redis.resume()

    def fill_memory():
        redis.client().config_set("maxmemory", "1mb")
        time.sleep(rng.uniform(0.1, 1))
        redis.client().config_set("maxmemory", "0")

    def disconnect_replica():
        replica = rng.choice(replicas)
        replica.disconnect()
        redis.client().client_kill_filter(_type="normal")
        time.sleep(rng.uniform(0.1, 2))
        replica.connect()

    def restore_old_data():
        redis.client().save()
        time.sleep(rng.uniform(0.2, 1))
        redis.kill()
        redis.start()

    def flush():
        redis.client().flushall()

    return [kill, suspend, fill_memory, disconnect_replica, restore_old_data, flush]


class History:
    """The writes that have begun and completed, per writer, and the errors; safe for concurrent use."""

    def __init__(self, count):
        self.completed = [0] * count
        self.begun = [0] * count
        self.reads = 0
        self.errors = []

    def write(self, writer, send):
        number = self.begun[writer] = self.begun[writer] + 1
        response = send(number)
        if not response.ok:
            self.errors.append(f"write: {response.status_code} {response.text}")
        self.completed[writer] = number

    def read(self, writer, send):
        minimum = self.completed[writer]
        response = send()
        maximum = self.begun[writer]
        self.reads += 1
        if not response.ok:
            self.errors.append(f"read: {response.status_code} {response.text}")
            return
        number = write_number(response.json(), writer)
        if not minimum <= number <= maximum and "Warning" not in response.headers:
            self.errors.append(f"{response.url} returned write {number}, but write {minimum} had completed before")


def write_number(body, writer):
    sprockets = [body["sprocket"]] if "sprocket" in body else body["sprockets"]
    return next(sprocket["teeth"] for sprocket in sprockets if sprocket["id"] == writer + 1) - 1


@pytest.mark.fault
def test_no_stale_response_is_served_during_redis_faults(own_redis, replicas):
    seed = int(os.environ.get("E2E_SEED") or time.time_ns())
    print(f"E2E_SEED={seed}")
    rng, history, is_over = random.Random(seed), History(WRITERS), threading.Event()
    for _ in range(WRITERS):
        requests.post(f"{replicas[0].base}/api/sprocket/create/1/1/1/1/", timeout=30).raise_for_status()

    def repeat(action):
        own_rng = random.Random(rng.random())
        with requests.Session() as session:
            while not is_over.is_set():
                action(session, own_rng)

    def write(writer):
        def write_once(session, own_rng):
            url = f"{own_rng.choice(replicas).base}/api/sprocket/{writer + 1}"
            history.write(writer, lambda number: session.patch(url, json={"teeth": number + 1}, timeout=40))

        return write_once

    def read(session, own_rng):
        writer = own_rng.randrange(WRITERS)
        path = own_rng.choice([f"/api/sprocket/{writer + 1}", "/api/sprockets", "/api/sprockets/?limit=7"])
        url = f"{own_rng.choice(replicas).base}{path}"
        history.read(writer, lambda: session.get(url, timeout=40))

    actions = [*(write(writer) for writer in range(WRITERS)), *[read] * READERS]
    threads = [threading.Thread(target=repeat, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    faults = redis_faults(own_redis, replicas, rng)
    try:
        for fault in [*faults, *rng.choices(faults, k=FAULT_COUNT - len(faults))]:
            time.sleep(rng.uniform(0.2, 1.5))
            print(f"{fault.__name__} after {sum(history.completed)} writes, {history.reads} reads")
            fault()
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert history.errors == []
    assert history.reads > 100 and min(history.completed) > 5
    invariants = requests.get(f"{replicas[0].base}/invariants", timeout=30).json()
    assert invariants["status"] == "OK", invariants
