"""Workers that are killed or frozen lose no work and make no partial results visible."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from chassis import db as postgres

pytestmark = pytest.mark.fault

KINDS = ["validation_report", "reds_csv", "reds_json", "wines_zip", "reds_csv_preview", "reds", ""]
ROWS = "id,name\n" + "".join(f"{number},wine {number}\n" for number in range(4000))
SCHEMA = {"fields": [{"name": "id", "type": "integer"}, {"name": "name", "type": "string"}]}
RESOURCE = {"name": "reds", "path": "reds.csv", "schema": SCHEMA}

# A worker that receives its jobs from the outbox instead of a queue; an unacknowledged job is delivered again.
WORKER = """
import json, os, sys, threading, time, uuid
from chassis.messaging.delivery import Delivery
from chassis.messaging.message_processor import JobContext
from chassis.db import Database
from chassis.errors import Unavailable
from specstore_service import handlers
from specstore_service.settings import Settings

settings = Settings.load()
database = Database(settings.database_url, name=f"worker {os.getpid()}", size=4, wait_seconds=30)
context = JobContext(database, settings, threading.Event())
print("started", flush=True)
while True:
    with database.transaction() as tx:
        jobs = tx.rows("SELECT id, body FROM outbox WHERE type = 'specstore.pipeline' ORDER BY random() LIMIT 1")
    for number, body in jobs:
        try:
            handlers.on_pipeline_ready(context, Delivery("q", str(uuid.uuid4()), "q", "s", "r", {}, json.loads(body)))
        except Unavailable:
            time.sleep(0.1)
            continue
        with database.transaction() as tx:
            tx.run("DELETE FROM outbox WHERE id = %(id)s", id=number)
    if not jobs:
        time.sleep(0.05)
"""


@pytest.fixture
def workers(workers, settings):
    changes = {"pipeline_lease_seconds": 1.0, "source_networks": "127.0.0.1/32"}
    workers.settings = settings.model_copy(update=changes)
    return workers


@pytest.fixture
def start_workers(settings):
    """Start workers and return all running ones by process ID once the new ones poll for jobs."""
    running = {}
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "DATA_DIR": settings.data_dir,
        "PIPELINE_LEASE_SECONDS": "1",
    }

    def start(count=1):
        processes = [
            subprocess.Popen([sys.executable, "-c", WORKER], env=environment, stdout=subprocess.PIPE)
            for _ in range(count)
        ]
        running.update({process.pid: process for process in processes})
        for process in processes:
            assert process.stdout.readline() == b"started\n"
        return running

    yield start
    for process in running.values():
        process.kill()
        process.wait(30)
        process.stdout.close()


class Gate:
    """Blocks every transaction that ends the named pipeline until the gate is opened."""

    def __init__(self, settings, name):
        self._connection = postgres.connect(settings.database_url, name="tests", autocommit=True)
        self._cursor = self._connection.cursor()
        self._cursor.execute("SELECT pg_advisory_lock(4711)")
        self._cursor.execute(
            f"""
            CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN new; END $$;
            CREATE TRIGGER wait_for_test BEFORE UPDATE ON pipelines FOR EACH ROW
            WHEN (new.name = '{name}' AND new.succeeded IS NOT NULL AND old.succeeded IS NULL)
            EXECUTE FUNCTION wait_for_test()
            """
        )

    def find_blocked_worker(self):
        """Return the process ID of the blocked worker and that of its Postgres backend, or None."""
        self._cursor.execute(
            """
            SELECT application_name, pid FROM pg_stat_activity JOIN pg_locks USING (pid)
            WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted
            """
        )
        row = self._cursor.fetchone()
        return row and (int(row[0].split()[1]), row[1])

    def open(self, *, terminate_backend=None):
        """Open the gate; terminate a backend before, as TCP's timers eventually would."""
        if terminate_backend:
            self._cursor.execute("SELECT pg_terminate_backend(%s)", (terminate_backend,))
        self._cursor.execute("SELECT pg_advisory_unlock(4711)")

    def remove(self):
        self._cursor.execute("SELECT pg_advisory_unlock_all()")
        self._cursor.execute("DROP FUNCTION wait_for_test CASCADE")
        self._connection.close()


@pytest.fixture
def close_gate(settings, db):
    gates = []

    def close(name):
        gates.append(Gate(settings, name))
        return gates[0]

    yield close
    for gate in gates:
        gate.remove()


@pytest.fixture
def upload(api, client, a_token, workers):
    def upload(resource=RESOURCE, rows=ROWS):
        response = client.put("/source/ann/files/reds.csv", data=rows.encode(), headers={"Auth-Token": a_token()})
        assert response.status_code == 200
        return api.create_flow(resources=[resource])

    return upload


def hashes_of(status):
    return {id_[len(status["id"]) :]: pipeline["stats"].get("hash") for id_, pipeline in status["pipelines"].items()}


@pytest.fixture(scope="module")
def cached_hashes():
    return {}


@pytest.fixture
def expected_hashes(upload, workers, api, cached_hashes):
    """Run a flow without failures and return the hashes of its outputs."""
    if not cached_hashes:
        flow = upload()
        workers.run_all()
        cached_hashes.update(hashes_of(api.get(flow).json))
    return cached_hashes


@pytest.fixture
def object_names(db, settings):
    """Return the names of a flow's objects, those in the object store and those in the database."""

    def object_names(flow):
        folder = Path(settings.data_dir) / "objects"
        stored = {str(path.relative_to(folder)) for path in (folder / "flows" / flow).rglob("*") if path.is_file()}
        query = """
            SELECT object FROM results JOIN flows ON flows.id = flow WHERE name = %(name)s UNION
            SELECT object FROM sources JOIN flows ON flows.id = flow WHERE name = %(name)s
        """
        with db.transaction() as tx:
            return stored, {row[0] for row in tx.rows(query, name=flow)}

    return object_names


@pytest.mark.parametrize("kind", KINDS)
def test_worker_killed_before_committing_the_result_is_replaced(
    kind, expected_hashes, upload, start_workers, close_gate, eventually, api, object_names, client
):
    flow = upload()
    pipeline = f"{flow}/{kind}".rstrip("/")
    gate = close_gate(pipeline)
    workers = start_workers(2)
    killed, _ = eventually(gate.find_blocked_worker)
    before = api.get(flow).json["pipelines"][pipeline]
    workers[killed].kill()
    workers[killed].wait(30)
    assert before["status"] == "INPROGRESS" and before["stats"] == {}
    assert client.get(f"/source/{flow}/data/datapackage.json").status_code == 404
    gate.open()
    status = eventually(lambda: status_if_ended(api, flow))
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert hashes_of(status) == expected_hashes
    # The objects that the killed worker left in the store are deleted, too.
    eventually(lambda: len({frozenset(names) for names in object_names(flow)}) == 1)


def status_if_ended(api, flow):
    status = api.get(flow).json
    return status if status["state"] in ("SUCCEEDED", "FAILED") else None


def test_workers_killed_at_random_moments_produce_the_same_result(
    expected_hashes, upload, start_workers, eventually, api, outbox_bodies
):
    seed = int(os.environ.get("E2E_SEED", time.time_ns() % 10**6))
    print(f"E2E_SEED={seed}")
    generator = random.Random(seed)
    flow = upload()
    kills = 0
    while kills < 6 and status_if_ended(api, flow) is None:
        workers = start_workers(2)
        # A worker has to start its fork server first.
        time.sleep(generator.uniform(0, 3))
        for worker in workers.values():
            worker.kill()
        kills += 1
    start_workers()
    status = eventually(lambda: status_if_ended(api, flow))
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert hashes_of(status) == expected_hashes
    assert len([body for body in outbox_bodies("FlowFinished") if flow in str(body)]) == 1


def test_frozen_worker_changes_nothing_after_its_pipeline_was_taken_over(
    expected_hashes, upload, start_workers, close_gate, eventually, api, object_names
):
    flow = upload()
    gate = close_gate(f"{flow}/reds_csv")
    workers = start_workers(2)
    frozen, backend = eventually(gate.find_blocked_worker)
    workers[frozen].send_signal(signal.SIGSTOP)
    gate.open(terminate_backend=backend)
    status = eventually(lambda: status_if_ended(api, flow))
    workers[frozen].send_signal(signal.SIGCONT)
    eventually(lambda: len({frozenset(names) for names in object_names(flow)}) == 1)
    assert hashes_of(status) == hashes_of(api.get(flow).json) == expected_hashes


def test_process_that_matches_an_endless_pattern_ends_when_its_worker_is_killed(upload, start_workers, eventually, api):
    pattern = {"name": "name", "type": "string", "constraints": {"pattern": "(w+ ?)+[0-9]*!"}}
    flow = upload({**RESOURCE, "schema": {"fields": [SCHEMA["fields"][0], pattern]}}, "id,name\n1," + "w" * 64 + "\n")
    (worker,) = start_workers().values()
    server = eventually(lambda: psutil.Process(worker.pid).children())[0]
    process = eventually(lambda: next((child for child in server.children() if is_busy(child)), None))
    assert api.get(flow).json["state"] == "INPROGRESS"
    worker.kill()
    worker.wait(30)
    eventually(lambda: has_ended(process) and has_ended(server))


def is_busy(process):
    """Return whether a pipeline process has used more than a second of CPU time, which only the pattern can take."""
    with suppress(psutil.NoSuchProcess):
        return process.name() == "pipeline" and process.cpu_times().user > 1


def has_ended(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
