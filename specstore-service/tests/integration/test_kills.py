"""A worker dies, stops, freezes or is no longer wanted: nothing is lost, nothing half done is seen."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chassis import db as postgres

KINDS = ["validation_report", "reds_csv", "reds_json", "wines_zip", "reds_csv_preview", "reds", ""]
ROWS = "id,name\n" + "".join(f"{number},wine {number}\n" for number in range(4000))
SCHEMA = {"fields": [{"name": "id", "type": "integer"}, {"name": "name", "type": "string"}]}
RESOURCE = {"name": "reds", "path": "reds.csv", "schema": SCHEMA}

# As a worker gets messages: one that was not acknowledged comes again.
WORKER = """
import json, os, sys, threading, time, uuid
from chassis.attempts import Delivery, Surroundings
from chassis.db import Database
from chassis.errors import Unavailable
from specstore_service import handlers
from specstore_service.settings import Settings

settings = Settings.load()
database = Database(settings.database_url, name="tests", size=4, wait_seconds=30)
around = Surroundings(database, settings, threading.Event())
print("started", flush=True)
while True:
    with database.transaction() as tx:
        jobs = tx.rows("SELECT id, body FROM outbox WHERE type = 'specstore.pipeline' ORDER BY random() LIMIT 1")
    for number, body in jobs:
        try:
            handlers.on_pipeline_ready(around, Delivery("q", str(uuid.uuid4()), "q", "s", "r", {}, json.loads(body)))
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
    hasty = {"pipeline_lease_seconds": 1.0, "source_networks": "127.0.0.1/32"}
    workers.settings = settings.model_copy(update=hasty)
    return workers


@pytest.fixture
def eventually():
    def check(condition, within_seconds=60):
        deadline = time.monotonic() + within_seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.02)
        return found

    return check


@pytest.fixture
def start_worker(settings):
    running = []

    def start():
        environment = {
            **os.environ,
            "DATABASE_URL": settings.database_url,
            "DATA_DIR": settings.data_dir,
            "PIPELINE_LEASE_SECONDS": "1",
        }
        process = subprocess.Popen([sys.executable, "-c", WORKER], env=environment, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout.readline() == b"started\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait(30)
        process.stdout.close()


@pytest.fixture
def held(db, settings):
    """Whoever ends a pipeline of that name waits, in the transaction that does so, as long as this is held."""
    connection = postgres.connect(settings.database_url, name="tests", autocommit=True)
    cursor = connection.cursor()

    def hold(name):
        cursor.execute("SELECT pg_advisory_lock(4711)")
        cursor.execute(
            """
            CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN new; END $$
            """
        )
        cursor.execute(
            f"""
            CREATE TRIGGER wait_for_test BEFORE UPDATE ON pipelines FOR EACH ROW
            WHEN (new.name = '{name}' AND new.succeeded IS NOT NULL AND old.succeeded IS NULL)
            EXECUTE FUNCTION wait_for_test()
            """
        )

    def is_waited_for():
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted")
        return cursor.fetchone()[0] == 1

    yield hold, is_waited_for
    cursor.execute("SELECT pg_advisory_unlock_all()")
    cursor.execute("DROP TRIGGER IF EXISTS wait_for_test ON pipelines")
    cursor.execute("DROP FUNCTION IF EXISTS wait_for_test")
    connection.close()


@pytest.fixture
def upload(api, client, a_token, workers):
    def upload(resource=RESOURCE, rows=ROWS):
        sent = client.put("/source/ann/files/reds.csv", data=rows.encode(), headers={"Auth-Token": a_token()})
        assert sent.status_code == 200
        return api.uploaded(resources=[resource])

    return upload


def hashes_of(status):
    return {id_[len(status["id"]) :]: it["stats"].get("hash") for id_, it in status["pipelines"].items()}


@pytest.fixture
def reference(upload, workers, api):
    """What comes out where nothing goes wrong."""
    flow = upload()
    workers.run_all()
    return hashes_of(api.status(flow).json)


@pytest.fixture
def kept(db, settings):
    """(names in the store, names that the database knows) of a flow's objects."""

    def kept(flow):
        objects = Path(settings.data_dir) / "objects"
        found = {str(path.relative_to(objects)) for path in (objects / "flows" / flow).rglob("*") if path.is_file()}
        known = """
            SELECT object FROM results JOIN flows ON flows.id = flow WHERE name = %(name)s UNION
            SELECT object FROM sources JOIN flows ON flows.id = flow WHERE name = %(name)s
        """
        with db.transaction() as tx:
            return found, {row[0] for row in tx.rows(known, name=flow)}

    return kept


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_killed_before_it_could_tell_the_end_is_replaced(
    kind, upload, reference, workers, start_worker, held, eventually, api, kept, client
):
    flow = upload()
    pipeline = f"{flow}/{kind}".rstrip("/")
    hold, is_waited_for = held
    hold(pipeline)
    worker = start_worker()
    eventually(is_waited_for)
    before = api.status(flow).json["pipelines"][pipeline]
    worker.kill()
    worker.wait(30)
    assert before["status"] == "INPROGRESS" and before["stats"] == {}
    assert client.get(f"/source/{flow}/data/datapackage.json").status_code == 404
    connection = postgres.connect(workers.settings.database_url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER wait_for_test ON pipelines")
    connection.close()
    start_worker()
    status = eventually(lambda: ended(api, flow))
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert hashes_of(status) == reference
    found, known = kept(flow)
    assert found == known


def ended(api, flow):
    status = api.status(flow).json
    return status if status["state"] in ("SUCCEEDED", "FAILED") else None


def test_workers_killed_at_random_moments_come_to_the_same_end(
    upload, reference, start_worker, eventually, api, outbox_of
):
    seed = int(os.environ.get("E2E_SEED", time.time_ns() % 10**6))
    print(f"E2E_SEED={seed}")
    chance = random.Random(seed)
    flow = upload()
    kills = 0
    while kills < 10 and ended(api, flow) is None:
        workers = [start_worker(), start_worker()]
        time.sleep(chance.uniform(0, 0.6))
        for worker in workers:
            worker.kill()
        kills += 1
    start_worker()
    status = eventually(lambda: ended(api, flow))
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert hashes_of(status) == reference
    assert len([body for body in outbox_of("FlowFinished") if flow in str(body)]) == 1


def test_a_frozen_worker_whose_pipeline_was_taken_over_does_nothing_more(
    upload, start_worker, held, workers, eventually, api, kept, reference
):
    flow = upload()
    hold, is_waited_for = held
    hold(f"{flow}/reds_csv")
    frozen = start_worker()
    eventually(is_waited_for)
    frozen.send_signal(signal.SIGSTOP)
    connection = postgres.connect(workers.settings.database_url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER wait_for_test ON pipelines")
        # As TCP's own timers would do in the end.
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE objid = 4711 AND NOT granted")
    connection.close()
    start_worker()
    status = eventually(lambda: ended(api, flow))
    frozen.send_signal(signal.SIGCONT)
    eventually(lambda: len(set(map(frozenset, kept(flow)))) == 1)
    assert hashes_of(status) == hashes_of(api.status(flow).json) == reference


def test_the_process_that_checks_rows_ends_with_its_worker(upload, start_worker, eventually, api):
    pattern = {"name": "name", "type": "string", "constraints": {"pattern": "(w+ ?)+[0-9]*!"}}
    flow = upload({**RESOURCE, "schema": {"fields": [SCHEMA["fields"][0], pattern]}}, "id,name\n1," + "w" * 64 + "\n")
    worker = start_worker()
    child = eventually(lambda: "".join(path.read_text() for path in children_of(worker.pid)).split())[0]
    assert api.status(flow).json["state"] == "INPROGRESS"
    worker.kill()
    worker.wait(30)
    eventually(lambda: not Path(f"/proc/{child}").exists() or is_zombie(child))


def children_of(pid):
    return list(Path(f"/proc/{pid}/task").glob("*/children"))


def is_zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
