"""A spec goes in, a data package comes out, and every state is true whatever is killed meanwhile."""

import csv
import io
import threading
import time
from collections import Counter, defaultdict

import pytest

from quintet_e2e.clients import crowd, done
from quintet_e2e.faults import assert_healed, chosen_random
from quintet_e2e.specs import ROWS, Owner
from quintet_e2e.streams import events_of
from quintet_local.testing import eventually

CLIENTS = 3
VICTIMS = ["a worker of web", "the master of web", "worker", "postgres", "rabbitmq"] * 2


@pytest.fixture
def owner(client):
    return Owner(client)


def test_a_spec_becomes_a_data_package(stack, client, owner):
    dataset = owner.new_dataset()
    flow = owner.upload(dataset)
    assert flow == f"{owner.id}/{dataset}/1"
    status = owner.ended(flow)
    assert (status["state"], status["error_log"]) == ("SUCCEEDED", [])
    assert {pipeline["status"] for pipeline in status["pipelines"].values()} == {"SUCCEEDED"}
    assert status["stats"]["count_of_rows"] == len(ROWS) and status["stats"]["hash"]
    package = done(client.get(f"/source/{flow}/data/datapackage.json"))
    paths = [resource["path"] for resource in package["resources"]]
    table = next(path for path in paths if path.endswith(".csv"))
    answer = client.get(f"/source/{flow}/data/{table}")
    assert answer.ok and [{**row, "year": int(row["year"])} for row in csv.DictReader(io.StringIO(answer.text))] == ROWS
    eventually(lambda: owner.told(flow)[-1:] == ["FlowFinished"])
    assert owner.told(flow) == ["FlowQueued", "FlowStarted", "FlowFinished"]
    assert_healed(stack)


def test_a_wrong_row_is_named_and_fails_what_needs_it(owner):
    flow = owner.upload(owner.new_dataset(), rows=[*ROWS, {"name": "Merlot", "year": "last year"}])
    status = owner.ended(flow)
    assert status["state"] == "FAILED"
    assert any("year" in text for text in status["pipelines"][f"{flow}/validation_report"]["error_log"])
    assert any("Dependency unsuccessful" in text for text in status["pipelines"][flow]["error_log"])


def test_a_cancelled_flow_ends_at_once(client, owner):
    flow = owner.upload(owner.new_dataset())
    done(client.post(f"/source/{flow}/cancel", headers=owner.headers))
    status = owner.status(flow)
    assert status["state"] in ("FAILED", "SUCCEEDED")
    if status["state"] == "FAILED":
        assert "cancelled" in status["error_log"]
    again = done(client.post(f"/source/{flow}/retry", headers=owner.headers))["flow_id"]
    assert owner.ended(again)["state"] == "SUCCEEDED"


def kill(stack, random, victim):
    if victim == "a worker of web":
        stack.kill_a_gunicorn_worker("specstore-web", random)
    elif victim == "the master of web":
        stack.kill_gunicorn("specstore-web")
    elif victim == "postgres":
        stack.kill("postgres")
        eventually(stack.database_answers, 60)
    elif victim == "rabbitmq":
        stack.kill("rabbitmq")
        eventually(stack.broker_answers, 60)
    else:
        stack.kill("specstore-worker")


class Uploads:
    """What a crowd has uploaded: into one dataset of all, and into one of each."""

    def __init__(self, owner):
        self.owner, self.shared = owner, owner.new_dataset()
        self.own = [owner.new_dataset() for _ in range(CLIENTS)]
        self.flows = defaultdict(list)
        self.states = {}
        self._lock = threading.Lock()

    def one_more(self, number):
        """Seen to its end before the next one, so that what waits stays small."""
        dataset = self.shared if number == 0 or len(self.states) % 2 else self.own[number]
        flow = self.owner.upload(dataset)
        with self._lock:
            self.flows[dataset].append(flow)
        state = self.owner.ended(flow, 300)["state"]
        with self._lock:
            self.states[flow] = state


def test_uploads_and_pipelines_survive_kills(stack, owner):
    random, uploads = chosen_random(), Uploads(owner)
    victims = list(VICTIMS)
    random.shuffle(victims)
    with crowd(CLIENTS, uploads.one_more):
        for number, victim in enumerate(victims):
            time.sleep(random.uniform(0.2, 2))
            kill(stack, random, victim)
            ended = len(uploads.states)
            print(f"killed {victim}; {ended} flows have ended")
            if number % 3 == 2:
                # Not in the middle of the last one's recovery only.
                eventually(lambda ended=ended: len(uploads.states) > ended, 120)
    assert Counter(uploads.states.values()) == {"SUCCEEDED": len(uploads.states)}
    for dataset, flows in uploads.flows.items():
        assert sorted(flows, key=lambda flow: int(flow.rpartition("/")[2])) == [
            f"{owner.id}/{dataset}/{number}" for number in range(1, len(flows) + 1)
        ]
        assert owner.revisions(dataset) == list(range(len(flows), 0, -1))
    assert_healed(stack)
    mine = set(uploads.states)
    told = Counter(
        (event["event"]["name"], event["payload"]["flow_id"])
        for event in events_of(owner.client, "specstore")
        if event["payload"]["flow_id"] in mine
    )
    assert told == Counter((name, flow) for flow in mine for name in ("FlowQueued", "FlowStarted", "FlowFinished"))
