"""Pipelines survive cancellation, stopping workers, killed processes and an unusable object store."""

import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from chassis.errors import Unavailable
from chassis.messaging.message_processor import Interrupted
from specstore_service.operations import attempts
from specstore_service.operations.updates import Trigger
from specstore_service.store import object_stores

ROWS = "id,name\n" + "".join(f"{number},wine {number}\n" for number in range(4000))
RESOURCE = {"name": "reds", "path": "reds.csv"}


@pytest.fixture
def workers(workers, settings):
    changes = {"pipeline_lease_seconds": 1.0, "source_networks": "127.0.0.1/32"}
    workers.settings = settings.model_copy(update=changes)
    return workers


@pytest.fixture
def upload(api, client, a_token, workers):
    def upload(resource=RESOURCE, rows=ROWS):
        response = client.put("/source/ann/files/reds.csv", data=rows.encode(), headers={"Auth-Token": a_token()})
        assert response.status_code == 200
        return api.create_flow(resources=[resource])

    return upload


@pytest.fixture
def stalled_source(server):
    """Yield the URL of a stalled source, an event set when it is requested, and one to set to send its remainder."""
    requested, proceed = threading.Event(), threading.Event()

    def chunks():
        yield ROWS[:100].encode()
        requested.set()
        proceed.wait(120)
        yield ROWS[100:].encode()

    path = f"/stalled-{time.monotonic_ns()}.csv"
    yield server.stream(path, chunks), requested, proceed
    proceed.set()


def start_thread(call, *arguments):
    """Return a thread, and a list that receives the result of the call or its exception."""
    outcome = []

    def run():
        try:
            outcome.append(call(*arguments))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_canceled_pipeline_stops_and_leaves_no_files(upload, stalled_source, workers, api, eventually):
    url, requested, _ = stalled_source
    flow = upload({**RESOURCE, "path": url})
    thread, outcome = start_thread(workers.run, f"{flow}/reds_csv")
    assert requested.wait(60)
    assert api.post(f"{flow}/cancel").json["state"] == "FAILED"
    thread.join(60)
    assert outcome == [None]
    pipeline = api.get(flow).json["pipelines"][f"{flow}/reds_csv"]
    assert (pipeline["status"], pipeline["error_log"], pipeline["stats"]) == ("FAILED", ["cancelled"], {})
    assert not list(Path(workers.settings.data_dir).glob(f"objects/flows/{flow}/*"))
    assert scratch_files(workers) == []
    eventually(lambda: pipeline_processes() == [])


def test_stopping_worker_releases_its_pipeline(upload, stalled_source, workers, settings, api, eventually):
    url, requested, proceed = stalled_source
    flow = upload({**RESOURCE, "path": url})
    thread, outcome = start_thread(workers.run, f"{flow}/reds_csv")
    assert requested.wait(60)
    workers.stop_event.set()
    thread.join(60)
    assert isinstance(outcome[0], Interrupted)
    assert scratch_files(workers) == []
    eventually(lambda: pipeline_processes() == [])
    proceed.set()
    workers.stop_event.clear()
    workers.run(f"{flow}/reds_csv")
    assert api.get(flow).json["pipelines"][f"{flow}/reds_csv"]["status"] == "SUCCEEDED"


def test_concurrent_pipelines_fetch_a_source_once(upload, server, workers, api):
    url = server.serve(f"/once-{time.monotonic_ns()}.csv", ROWS.encode())
    flow = upload({**RESOURCE, "path": url})
    while pipelines := workers.take_jobs():
        threads = [start_thread(workers.run, pipeline) for pipeline in pipelines]
        for thread, outcome in threads:
            thread.join(120)
            assert outcome == [None]
    status = api.get(flow).json
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert [path for path, _ in server.requests].count(url.removeprefix(server.url)) == 1


def test_lost_fetch_is_taken_over_by_a_waiting_pipeline(upload, stalled_source, workers, db, api):
    url, requested, proceed = stalled_source
    flow = upload({**RESOURCE, "path": url})
    lost_thread, _ = start_thread(workers.run, f"{flow}/reds_json")
    assert requested.wait(60)
    waiting_thread, outcome = start_thread(workers.run, f"{flow}/reds_csv")
    # The first pipeline is not canceled, but its attempt is superseded, as after a long pause of its worker.
    with db.transaction() as tx:
        tx.run("UPDATE pipelines SET attempt = attempt + 1 WHERE name = %(name)s", name=f"{flow}/reds_json")
    proceed.set()
    waiting_thread.join(60)
    lost_thread.join(60)
    assert outcome == [None]
    assert api.get(flow).json["pipelines"][f"{flow}/reds_csv"]["status"] == "SUCCEEDED"


@pytest.fixture
def unusable_store(workers):
    """Create a file where the folder of the outputs has to be, and return its path."""
    folder = Path(workers.settings.data_dir) / "objects" / "flows"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.touch()
    return folder


@pytest.mark.parametrize("kind", ["validation_report", "reds_csv"])
def test_unusable_object_store_makes_the_pipeline_wait(kind, api, workers, unusable_store):
    flow = api.create_flow()
    with pytest.raises(Unavailable):
        workers.run(f"{flow}/{kind}")
    assert api.get(flow).json["pipelines"][f"{flow}/{kind}"]["status"] == "INPROGRESS"
    unusable_store.unlink()
    workers.run(f"{flow}/{kind}")
    workers.run_all()
    assert api.get(flow).json["state"] == "SUCCEEDED"
    assert scratch_files(workers) == []


def scratch_files(workers):
    return list(object_stores.create_object_store(workers.settings).scratch.iterdir())


@pytest.fixture
def killing_source(server, monkeypatch):
    """Return a function that returns the URL of a source, and the IDs of the processes that it killed.

    The source kills the process that fetches it, for the first `count` requests, and sends its content afterwards.
    """
    monkeypatch.setattr(attempts, "_DEATH_RETRY_SECONDS", (0.1, 0.1))

    def configure(count):
        killed = []

        def chunks():
            yield ROWS[:100].encode()
            if len(killed) < count:
                (process,) = pipeline_processes()
                killed.append(process.pid)
                process.kill()
            yield ROWS[100:].encode()

        return server.stream(f"/killing-{time.monotonic_ns()}.csv", chunks), killed

    return configure


def pipeline_processes():
    """Return the processes that are running; one that was killed remains until the fork server reaps it."""
    processes = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.name() == "pipeline" and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
    return processes


def test_killed_pipeline_process_is_restarted(upload, workers, api, killing_source):
    url, killed = killing_source(2)
    flow = upload({**RESOURCE, "path": url})
    workers.run(f"{flow}/reds_csv")
    pipeline = api.get(flow).json["pipelines"][f"{flow}/reds_csv"]
    assert (len(killed), pipeline["status"], pipeline["error_log"]) == (2, "SUCCEEDED", [])
    assert scratch_files(workers) == []


def test_pipeline_fails_with_an_explanation_after_repeated_kills(upload, workers, api, killing_source):
    url, killed = killing_source(3)
    flow = upload({**RESOURCE, "path": url})
    workers.run(f"{flow}/validation_report")
    pipeline = api.get(flow).json["pipelines"][f"{flow}/validation_report"]
    assert (len(killed), pipeline["status"]) == (3, "FAILED")
    assert "killed repeatedly" in pipeline["error_log"][0]
    assert scratch_files(workers) == []


def test_pipelines_survive_a_killed_fork_server(upload, stalled_source, workers, api):
    url, requested, proceed = stalled_source
    flow = upload({**RESOURCE, "path": url})
    thread, outcome = start_thread(workers.run, f"{flow}/reds_csv")
    assert requested.wait(60)
    (process,) = pipeline_processes()
    process.parent().kill()
    proceed.set()
    thread.join(60)
    assert outcome == [None]
    assert api.get(flow).json["pipelines"][f"{flow}/reds_csv"]["status"] == "SUCCEEDED"


def test_lost_commit_confirmation_keeps_the_output(upload, workers, api, client):
    """Publish an attempt twice, as when the connection breaks before Postgres confirms the commit."""
    flow = upload()
    task = attempts._begin(workers.context, f"{flow}/reds_csv", Trigger("r-1"))
    lease = attempts.Lease(workers.context, task.attempt)
    objects = object_stores.create_object_store(workers.settings)
    outcome = attempts._execute(workers.context, objects, task, lease, "r-1")
    for _ in range(2):
        attempts._publish(workers.context, objects, task, outcome, Trigger("r-1"))
    assert client.get(f"/source/{flow}/data/reds.csv").data == ROWS.encode()
