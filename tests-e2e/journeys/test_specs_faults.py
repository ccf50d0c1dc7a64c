"""Flows end in the correct state with complete files while programs are killed, frozen and restarted."""

import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from quintet_e2e.clients import background_threads
from quintet_e2e.faults import assert_recovered, seeded_random
from quintet_e2e.specs import FIELDS, Owner
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_e2e.streams import read_events
from quintet_testing.waiting import eventually

pytestmark = [pytest.mark.fault, ON_ONE_STACK]

# E2E_ROUNDS=10 tests longer, and includes the rare faults.
ROUNDS = int(os.environ.get("E2E_ROUNDS") or 0)
TIMEOUT_SECONDS = 900 + 900 * ROUNDS
CLIENTS = 3
RECOVERY_SECONDS, FLOW_SECONDS = 240, 300
# Enough rows for a kill during a pipeline.
MANY_ROWS = 60_000
WEB, WORKER = "specstore-web", "specstore-worker"


@pytest.fixture
def owner(client):
    return Owner(client)


def csv_table(count, name):
    return b"name,year\n" + b"".join(b"%s %d,%d\n" % (name, number, 1950 + number % 70) for number in range(count))


class Flows:
    """Flows of two tables, a shared and an individual one; every third flow has an invalid row and must fail."""

    def __init__(self, owner, random):
        self.owner, self._random, self._lock = owner, random, threading.Lock()
        self.shared = csv_table(MANY_ROWS, b"Malbec")
        owner.store_file("many.csv", self.shared)
        self.tables, self.results = {}, {}
        self._count = 0

    @property
    def ended_count(self):
        return len(self.results)

    def run_flow(self, _thread_number=0):
        """Upload a spec and wait for the end of its flow, which limits the number of waiting flows."""
        with self._lock:
            self._count += 1
            number, is_valid = self._count, self._count % 3 > 0
            rows = self._random.randint(1, 2000)
        content = csv_table(rows, b"Syrah %d" % number) + (b"" if is_valid else b"Merlot,last year\n")
        self.owner.store_file(f"own/{number}.csv", content)
        flow = self.owner.upload(self.owner.new_dataset_name(), inputs=[self._input(number)])
        with self._lock:
            self.tables[flow] = content
        self.results[flow] = (is_valid, self.owner.wait_for_end(flow, FLOW_SECONDS))

    def _input(self, number):
        tables = {"many": "many.csv", "own": f"own/{number}.csv"}
        schema = {"fields": FIELDS}
        resources = [{"name": name, "path": path, "schema": schema} for name, path in tables.items()]
        return {
            "kind": "datapackage",
            "url": "datapackage.json",
            "parameters": {"descriptor": {"name": "wines", "resources": resources}},
        }

    def assert_correct(self):
        """Assert that each flow ended once in the state that its rows require, with the files of an undisturbed run."""
        for flow, (is_valid, status) in self.results.items():
            current = self.owner.get_status(flow)
            assert current["pipelines"] == status["pipelines"], flow
            files = self.owner.output_files(current)
            assert files["own_source.csv"] == files["own.csv"] == self.tables[flow]
            assert files["many_source.csv"] == files["many.csv"] == self.shared
            assert files["own_preview.csv"] == self.tables[flow] or self.tables[flow].count(b"\n") > 2001
            assert len(files) == (11 if is_valid else 8), list(files)
            if is_valid:
                assert (current["state"], current["error_log"]) == ("SUCCEEDED", [])
            else:
                assert current["state"] == "FAILED" and "own: row" in current["error_log"][0], current["error_log"]
                assert all("Dependency unsuccessful" in text for text in current["error_log"][1:])
        events = Counter(
            (event["event"]["name"], event["payload"].get("flow_id"), event["payload"].get("success"))
            for event in read_events(self.owner.client, "specstore")
            if event["payload"].get("flow_id") in self.results
        )
        assert events == Counter(
            (name, flow, is_valid if name == "FlowFinished" else None)
            for flow, (is_valid, _) in self.results.items()
            for name in ("FlowQueued", "FlowStarted", "FlowFinished")
        )


class Faults:
    """Faults to inject; each is over, or ends without intervention, when its function returns."""

    def __init__(self, stack, random):
        self.stack, self._random = stack, random
        self.common = {
            "a web process is killed": lambda: stack.kill_gunicorn_worker(WEB, random),
            "the web master is killed": lambda: stack.kill_gunicorn_master(WEB),
            "the worker is killed": lambda: stack.kill(WORKER),
            "the process of a pipeline is killed": self._kill_pipeline,
            "the worker is frozen": lambda: self._freeze(WORKER, 3),
            "postgres is killed": lambda: self._with_recovery(stack.kill, "postgres"),
            "rabbitmq is killed": lambda: self._with_recovery(stack.kill, "rabbitmq"),
        }
        self.rare = {
            "the worker is frozen for longer than its lease": lambda: self._freeze(WORKER, 15),
            "web is frozen": lambda: self._freeze(WEB, 5),
            "postgres is frozen": lambda: self._freeze("postgres", 8),
            "rabbitmq is frozen": lambda: self._freeze("rabbitmq", 15),
            "the worker is restarted": lambda: self._restart(WORKER),
            "web is restarted": lambda: self._restart(WEB),
            "postgres is restarted": lambda: self._with_recovery(self._restart, "postgres"),
            "rabbitmq is restarted": lambda: self._with_recovery(self._restart, "rabbitmq"),
        }

    def rounds(self):
        """Return (name, function) pairs in random order."""
        faults = [*(self.common | self.rare).items()] * ROUNDS if ROUNDS else [*self.common.items()]
        return self._random.sample(faults, len(faults))

    def _kill_pipeline(self):
        """Kill the process of a running pipeline, if one starts within a few seconds."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with suppress(psutil.NoSuchProcess):
                for process in self.stack.processes(WORKER)[1:]:
                    if process.name() == "pipeline":
                        process.kill()
                        return
            time.sleep(0.02)
        print("no pipeline was running")

    def _freeze(self, program, max_seconds):
        self.stack.freeze(program)
        time.sleep(self._random.uniform(0.1, max_seconds))
        self.stack.thaw(program)

    def _restart(self, program):
        self.stack.stop(program)
        time.sleep(self._random.uniform(0, 3))
        self.stack.start(program)

    def _with_recovery(self, inject, program):
        inject(program)
        eventually(
            self.stack.is_database_reachable if program == "postgres" else self.stack.is_broker_reachable,
            RECOVERY_SECONDS,
        )


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_flows_end_correctly_while_programs_are_killed_or_frozen(stack, owner):
    rng = seeded_random()
    flows, faults = Flows(owner, random.Random(rng.random())), Faults(stack, rng)
    started_at = time.monotonic()
    with background_threads(CLIENTS, flows.run_flow):
        for number, (name, inject) in enumerate(faults.rounds()):
            time.sleep(rng.uniform(0.2, 3))
            ended_count = flows.ended_count
            print(f"{time.monotonic() - started_at:.1f} s: {name}; {ended_count} flows have ended", flush=True)
            inject()
            if number % (4 if ROUNDS else 2) == 1:
                # Some faults follow a recovery instead of interrupting it.
                eventually(lambda ended_count=ended_count: flows.ended_count > ended_count, FLOW_SECONDS)
    assert flows.ended_count >= CLIENTS
    flows.assert_correct()
    assert_recovered(stack)
    print(f"{flows.ended_count} flows, all correct, after {time.monotonic() - started_at:.0f} s")
