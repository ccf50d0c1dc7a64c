"""A pipeline is cancelled, its worker stops, others want the same source, the store is full."""

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
    hasty = {"pipeline_lease_seconds": 1.0, "source_networks": "127.0.0.1/32"}
    workers.settings = settings.model_copy(update=hasty)
    return workers


@pytest.fixture
def upload(api, client, a_token, workers):
    def upload(resource=RESOURCE, rows=ROWS):
        sent = client.put("/source/ann/files/reds.csv", data=rows.encode(), headers={"Auth-Token": a_token()})
        assert sent.status_code == 200
        return api.uploaded(resources=[resource])

    return upload


@pytest.fixture
def stalled(server):
    """The URL of a source whose second half does not come; whether it was asked for; what lets it come."""
    asked, proceed = threading.Event(), threading.Event()

    def pieces():
        yield ROWS[:100].encode()
        asked.set()
        proceed.wait(120)
        yield ROWS[100:].encode()

    path = f"/stalled-{time.monotonic_ns()}.csv"
    yield server.streams(path, pieces), asked, proceed
    proceed.set()


def in_thread(call, *arguments):
    outcome = []

    def run():
        try:
            outcome.append(call(*arguments))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_what_is_cancelled_while_it_runs_ends_soon(upload, stalled, workers, api):
    url, asked, _ = stalled
    flow = upload({**RESOURCE, "path": url})
    thread, outcome = in_thread(workers.run, f"{flow}/reds_csv")
    assert asked.wait(60)
    assert api.post(f"{flow}/cancel").json["state"] == "FAILED"
    thread.join(60)
    assert outcome == [None]
    told = api.status(flow).json["pipelines"][f"{flow}/reds_csv"]
    assert (told["status"], told["error_log"], told["stats"]) == ("FAILED", ["cancelled"], {})
    assert not list(Path(workers.settings.data_dir).glob(f"objects/flows/{flow}/*"))
    assert (scratch_of(workers), processes_of_pipelines()) == ([], [])


def test_a_worker_that_stops_gives_its_pipeline_back_at_once(upload, stalled, workers, settings, api):
    url, asked, proceed = stalled
    flow = upload({**RESOURCE, "path": url})
    thread, outcome = in_thread(workers.run, f"{flow}/reds_csv")
    assert asked.wait(60)
    workers.stop_event.set()
    thread.join(60)
    assert isinstance(outcome[0], Interrupted)
    assert (scratch_of(workers), processes_of_pipelines()) == ([], [])
    proceed.set()
    workers.stop_event.clear()
    workers.run(f"{flow}/reds_csv")
    assert api.status(flow).json["pipelines"][f"{flow}/reds_csv"]["status"] == "SUCCEEDED"


def test_a_source_is_fetched_once_for_all_pipelines_at_the_same_time(upload, server, workers, api):
    url = server.says(f"/once-{time.monotonic_ns()}.csv", ROWS.encode())
    flow = upload({**RESOURCE, "path": url})
    while waiting := workers.waiting():
        threads = [in_thread(workers.run, pipeline) for pipeline in waiting]
        for thread, outcome in threads:
            thread.join(120)
            assert outcome == [None]
    status = api.status(flow).json
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert [path for path, _ in server.asked].count(url.removeprefix(server.url)) == 1


def test_who_fetches_is_replaced_when_it_is_gone(upload, stalled, workers, db, api):
    url, asked, proceed = stalled
    flow = upload({**RESOURCE, "path": url})
    gone, _ = in_thread(workers.run, f"{flow}/reds_json")
    assert asked.wait(60)
    waits, outcome = in_thread(workers.run, f"{flow}/reds_csv")
    # Cancelled by nobody, yet no longer the newest attempt: as after a long pause.
    with db.transaction() as tx:
        tx.run("UPDATE pipelines SET attempt = attempt + 1 WHERE name = %(name)s", name=f"{flow}/reds_json")
    proceed.set()
    waits.join(60)
    gone.join(60)
    assert outcome == [None]
    assert api.status(flow).json["pipelines"][f"{flow}/reds_csv"]["status"] == "SUCCEEDED"


@pytest.fixture
def unusable_store(workers):
    """Results cannot be stored: a file is in the way of their folder."""
    folder = Path(workers.settings.data_dir) / "objects" / "flows"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.touch()
    return folder


@pytest.mark.parametrize("kind", ["validation_report", "reds_csv"])
def test_an_unusable_store_makes_the_pipeline_wait(kind, api, workers, unusable_store):
    flow = api.uploaded()
    with pytest.raises(Unavailable):
        workers.run(f"{flow}/{kind}")
    assert api.status(flow).json["pipelines"][f"{flow}/{kind}"]["status"] == "INPROGRESS"
    unusable_store.unlink()
    workers.run(f"{flow}/{kind}")
    workers.run_all()
    assert api.status(flow).json["state"] == "SUCCEEDED"
    assert scratch_of(workers) == []


def scratch_of(workers):
    return list(object_stores.create_object_store(workers.settings).scratch.iterdir())


@pytest.fixture
def killing(monkeypatch):
    """Kill the next processes, up to a number of them; return the number of those that were killed."""
    monkeypatch.setattr(attempts, "_DEATH_RETRY_SECONDS", (0.1, 0.1))
    stop, killed = threading.Event(), set()

    def kill(count):
        while len(killed) < count and not stop.wait(0.001):
            for process in processes_of_pipelines():
                if process.pid not in killed:
                    killed.add(process.pid)
                    process.kill()

    threads = []

    def start(count):
        threads.append(threading.Thread(target=kill, args=(count,)))
        threads[0].start()
        return killed

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def processes_of_pipelines():
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.name() == "pipeline":
                found.append(process)
    return found


def test_an_attempt_whose_process_is_killed_starts_another_one(upload, workers, api, killing):
    flow = upload()
    killed = killing(2)
    workers.run(f"{flow}/reds_csv")
    pipeline = api.status(flow).json["pipelines"][f"{flow}/reds_csv"]
    assert (len(killed), pipeline["status"], pipeline["error_log"]) == (2, "SUCCEEDED", [])
    assert scratch_of(workers) == []


def test_a_pipeline_whose_processes_are_all_killed_fails_with_an_explanation(upload, workers, api, killing):
    flow = upload()
    killed = killing(3)
    workers.run(f"{flow}/validation_report")
    pipeline = api.status(flow).json["pipelines"][f"{flow}/validation_report"]
    assert (len(killed), pipeline["status"]) == (3, "FAILED")
    assert "killed again and again" in pipeline["error_log"][0]
    assert scratch_of(workers) == []


def test_pipelines_survive_the_death_of_the_fork_server(upload, stalled, workers, api):
    url, asked, proceed = stalled
    flow = upload({**RESOURCE, "path": url})
    thread, outcome = in_thread(workers.run, f"{flow}/reds_csv")
    assert asked.wait(60)
    (process,) = processes_of_pipelines()
    process.parent().kill()
    proceed.set()
    thread.join(60)
    assert outcome == [None]
    assert api.status(flow).json["pipelines"][f"{flow}/reds_csv"]["status"] == "SUCCEEDED"


def test_a_lost_confirmation_of_the_commit_does_not_delete_the_result(upload, workers, api, client):
    """The attempt is published; the connection breaks before Postgres can say so, and it is published again."""
    flow = upload()
    task = attempts._begin(workers.context, f"{flow}/reds_csv", Trigger("r-1"))
    lease = attempts.Lease(workers.context, task.attempt)
    objects = object_stores.create_object_store(workers.settings)
    outcome = attempts._outcome(workers.context, objects, task, lease, "r-1")
    for _ in range(2):
        attempts._publish(workers.context, objects, task, outcome, Trigger("r-1"))
    assert client.get(f"/source/{flow}/data/reds.csv").data == ROWS.encode()
