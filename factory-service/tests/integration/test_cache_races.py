"""Readers and writers on two replicas while Redis is killed, frozen, flushed, filled up, cut off and given old data.

Each thing has one writer, who counts up. Who begins to read after a write was answered must see that or a later one.
"""

import os
import random
import threading
import time

import pytest
import requests

ROUNDS = 14
WRITERS, READERS = 3, 6


@pytest.fixture
def own_redis(throwaway_redis):
    return throwaway_redis("--maxmemory-policy", "noeviction")


class ByName:
    """A replica that reaches Redis by a name of its own, which can be taken away."""

    def __init__(self, settings, redis, name, served):
        self.link, self.socket = redis.folder / f"{name}.sock", redis.folder / "redis.sock"
        self.join()
        self.base = served(settings.model_copy(update={"redis_url": f"unix://{self.link}"})).base

    def join(self):
        if not self.link.is_symlink():
            self.link.symlink_to(self.socket)

    def cut_off(self):
        self.link.unlink(missing_ok=True)


@pytest.fixture
def replicas(settings, db, own_redis, served):
    return [ByName(settings, own_redis, name, served) for name in ("one", "other")]


def faults_of(redis, replicas, chosen):
    def kill():
        redis.kill()
        time.sleep(chosen.uniform(0, 1))
        redis.start()

    def freeze():
        redis.freeze()
        time.sleep(chosen.uniform(0.1, 2))
        redis.thaw()

    def fill_up():
        redis.client().config_set("maxmemory", "1mb")
        time.sleep(chosen.uniform(0.1, 1))
        redis.client().config_set("maxmemory", "0")

    def cut_off():
        replica = chosen.choice(replicas)
        replica.cut_off()
        redis.client().client_kill_filter(_type="normal")
        time.sleep(chosen.uniform(0.1, 2))
        replica.join()

    def bring_old_data():
        redis.client().save()
        time.sleep(chosen.uniform(0.2, 1))
        redis.kill()
        redis.start()

    def flush():
        redis.client().flushall()

    return [kill, freeze, fill_up, cut_off, bring_old_data, flush]


class History:
    """What was answered to whom, and when; any number of threads."""

    def __init__(self, count):
        self.answered = [0] * count
        self.begun = [0] * count
        self.reads = 0
        self.wrong = []

    def write(self, place, send):
        number = self.begun[place] = self.begun[place] + 1
        answer = send(number)
        if not answer.ok:
            self.wrong.append(f"write: {answer.status_code} {answer.text}")
        self.answered[place] = number

    def read(self, place, ask):
        least = self.answered[place]
        answer = ask()
        most = self.begun[place]
        self.reads += 1
        if not answer.ok:
            self.wrong.append(f"read: {answer.status_code} {answer.text}")
        elif not least <= (found := found_in(answer.json(), place)) <= most and "Warning" not in answer.headers:
            self.wrong.append(f"{answer.url} says {found}, at least {least} was answered before it was asked")


def found_in(body, place):
    sprockets = [body["sprocket"]] if "sprocket" in body else body["sprockets"]
    return next(sprocket["teeth"] for sprocket in sprockets if sprocket["id"] == place + 1) - 1


def test_nothing_stale_is_served_whatever_happens_to_redis(own_redis, replicas):
    seed = int(os.environ.get("E2E_SEED") or time.time_ns())
    print(f"E2E_SEED={seed}")
    chosen, history, leaving = random.Random(seed), History(WRITERS), threading.Event()
    for _ in range(WRITERS):
        requests.post(f"{replicas[0].base}/api/sprocket/create/1/1/1/1/", timeout=30).raise_for_status()

    def go_on(act):
        own = random.Random(chosen.random())
        with requests.Session() as session:
            while not leaving.is_set():
                act(session, own)

    def write(place):
        def once(session, own):
            sent = lambda number: session.patch(  # noqa: E731
                f"{own.choice(replicas).base}/api/sprocket/{place + 1}", json={"teeth": number + 1}, timeout=40
            )
            history.write(place, sent)

        return once

    def read(session, own):
        place = own.randrange(WRITERS)
        path = own.choice([f"/api/sprocket/{place + 1}", "/api/sprockets", "/api/sprockets/?limit=7"])
        history.read(place, lambda: session.get(f"{own.choice(replicas).base}{path}", timeout=40))

    acts = [*(write(place) for place in range(WRITERS)), *[read] * READERS]
    threads = [threading.Thread(target=go_on, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    faults = faults_of(own_redis, replicas, chosen)
    try:
        for fault in [*faults, *chosen.choices(faults, k=ROUNDS - len(faults))]:
            time.sleep(chosen.uniform(0.2, 1.5))
            print(f"{fault.__name__} after {sum(history.answered)} writes, {history.reads} reads")
            fault()
    finally:
        leaving.set()
        for thread in threads:
            thread.join()
    assert history.wrong == []
    assert history.reads > 100 and min(history.answered) > 5
    invariants = requests.get(f"{replicas[0].base}/invariants", timeout=30).json()
    assert invariants["status"] == "OK", invariants
