"""Flows run while everything is killed, frozen, restarted and cut off: each ends as it should, its files whole."""

import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from quintet_e2e.clients import crowd
from quintet_e2e.faults import assert_healed, chosen_random
from quintet_e2e.specs import FIELDS, Owner
from quintet_e2e.streams import events_of
from quintet_testing.waiting import eventually

# More on purpose: E2E_ROUNDS=10, of all that can be done to the stack.
ROUNDS = int(os.environ.get("E2E_ROUNDS") or 0)
TIMEOUT_SECONDS = 900 + 900 * ROUNDS
CLIENTS = 3
BACK_WITHIN, ENDED_WITHIN = 240, 300
# Enough for a process of its own to check them.
MANY_ROWS = 60_000
WEB, WORKER = "specstore-web", "specstore-worker"


@pytest.fixture
def owner(client):
    return Owner(client)


def a_table(count, name):
    return b"name,year\n" + b"".join(b"%s %d,%d\n" % (name, number, 1950 + number % 70) for number in range(count))


class Flows:
    """Of two tables: one that all have, and one of each; every third has a row that makes it fail."""

    def __init__(self, owner, random):
        self.owner, self._random, self._lock = owner, random, threading.Lock()
        self.shared = a_table(MANY_ROWS, b"Malbec")
        owner.keep_file("many.csv", self.shared)
        self.own, self.states = {}, {}
        self._count = 0

    @property
    def ended(self):
        return len(self.states)

    def one_more(self, _number=0):
        """Seen to its end before the next one, so that what waits stays small."""
        with self._lock:
            self._count += 1
            place, is_good = self._count, self._count % 3 > 0
            rows = self._random.randint(1, 2000)
        content = a_table(rows, b"Syrah %d" % place) + (b"" if is_good else b"Merlot,last year\n")
        self.owner.keep_file(f"own/{place}.csv", content)
        flow = self.owner.upload(self.owner.new_dataset(), inputs=[self._input(place)])
        with self._lock:
            self.own[flow] = content
        self.states[flow] = (is_good, self.owner.ended(flow, ENDED_WITHIN))

    def _input(self, place):
        tables = {"many": "many.csv", "own": f"own/{place}.csv"}
        schema = {"fields": FIELDS}
        resources = [{"name": name, "path": path, "schema": schema} for name, path in tables.items()]
        return {
            "kind": "datapackage",
            "url": "datapackage.json",
            "parameters": {"descriptor": {"name": "wines", "resources": resources}},
        }

    def assert_true(self):
        """Each has ended as its rows want it, once, and all of its files are as if nothing had been."""
        for flow, (is_good, status) in self.states.items():
            now_ = self.owner.status(flow)
            assert now_["pipelines"] == status["pipelines"], flow
            files = self.owner.files(now_)
            assert files["own_source.csv"] == files["own.csv"] == self.own[flow]
            assert files["many_source.csv"] == files["many.csv"] == self.shared
            assert files["own_preview.csv"] == self.own[flow] or self.own[flow].count(b"\n") > 2001
            assert len(files) == (11 if is_good else 8), list(files)
            if is_good:
                assert (now_["state"], now_["error_log"]) == ("SUCCEEDED", [])
            else:
                assert now_["state"] == "FAILED" and "own: row" in now_["error_log"][0], now_["error_log"]
                assert all("Dependency unsuccessful" in text for text in now_["error_log"][1:])
        told = Counter(
            (event["event"]["name"], event["payload"].get("flow_id"), event["payload"].get("success"))
            for event in events_of(self.owner.client, "specstore")
            if event["payload"].get("flow_id") in self.states
        )
        assert told == Counter(
            (name, flow, is_good if name == "FlowFinished" else None)
            for flow, (is_good, _) in self.states.items()
            for name in ("FlowQueued", "FlowStarted", "FlowFinished")
        )


class Faults:
    """What can be done to a stack; each is over, or will be by itself, when its call returns."""

    def __init__(self, stack, random):
        self.stack, self._random = stack, random
        self.usual = {
            "a web process is killed": lambda: stack.kill_a_gunicorn_worker(WEB, random),
            "the web master is killed": lambda: stack.kill_gunicorn(WEB),
            "the worker is killed": lambda: stack.kill(WORKER),
            "the process that checks rows is killed": self._kill_a_child,
            "the worker is frozen": lambda: self._freeze(WORKER, 3),
            "postgres is killed": lambda: self._back(stack.kill, "postgres"),
            "rabbitmq is killed": lambda: self._back(stack.kill, "rabbitmq"),
        }
        self.rare = {
            "the worker is frozen for longer than its lease": lambda: self._freeze(WORKER, 15),
            "web is frozen": lambda: self._freeze(WEB, 5),
            "postgres is frozen": lambda: self._freeze("postgres", 8),
            "rabbitmq is frozen": lambda: self._freeze("rabbitmq", 15),
            "the worker is restarted": lambda: self._restart(WORKER),
            "web is restarted": lambda: self._restart(WEB),
            "postgres is restarted": lambda: self._back(self._restart, "postgres"),
            "rabbitmq is restarted": lambda: self._back(self._restart, "rabbitmq"),
        }
        if stack.kind == "compose":
            self.usual["the worker is cut off"] = lambda: self._cut_off(WORKER, 15)
            self.rare["web is cut off"] = lambda: self._cut_off(WEB, 8)
            self.rare["rabbitmq is cut off"] = lambda: self._cut_off("rabbitmq", 15)

    def rounds(self):
        """(what, how) in an order by chance."""
        chosen = [*(self.usual | self.rare).items()] * ROUNDS if ROUNDS else [*self.usual.items()]
        return self._random.sample(chosen, len(chosen))

    def _kill_a_child(self):
        """Where there is one within a few seconds: it lives for as long as rows are checked."""
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            with suppress(psutil.NoSuchProcess):
                for process in self.stack.processes(WORKER)[1:]:
                    if "checking" in " ".join(process.cmdline()):
                        process.kill()
                        return
            time.sleep(0.02)
        print("no process checked rows")

    def _freeze(self, program, most_seconds):
        self.stack.freeze(program)
        time.sleep(self._random.uniform(0.1, most_seconds))
        self.stack.thaw(program)

    def _restart(self, program):
        self.stack.stop(program)
        time.sleep(self._random.uniform(0, 3))
        self.stack.start(program)

    def _back(self, do, program):
        do(program)
        eventually(self.stack.database_answers if program == "postgres" else self.stack.broker_answers, BACK_WITHIN)

    def _cut_off(self, program, most_seconds):
        with self.stack.cut_off(program):
            time.sleep(self._random.uniform(0.5, most_seconds))


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_every_flow_ends_as_it_should_whatever_is_killed_frozen_or_cut_off(stack, owner):
    chance = chosen_random()
    flows, faults = Flows(owner, random.Random(chance.random())), Faults(stack, chance)
    began = time.monotonic()
    with crowd(CLIENTS, flows.one_more):
        for number, (what, inflict) in enumerate(faults.rounds()):
            time.sleep(chance.uniform(0.2, 3))
            ended = flows.ended
            print(f"{time.monotonic() - began:.1f} s: {what}; {ended} flows have ended", flush=True)
            inflict()
            if number % (4 if ROUNDS else 2) == 1:
                # Not in the middle of the last one's recovery only.
                eventually(lambda ended=ended: flows.ended > ended, ENDED_WITHIN)
    assert flows.ended >= CLIENTS
    flows.assert_true()
    assert_healed(stack)
    print(f"{flows.ended} flows, all as they should be, after {time.monotonic() - began:.0f} s")
