"""A pipeline is cancelled, its worker stops, others want the same source, the store is full."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from chassis.errors import Unavailable
from chassis.messaging.attempts import Interrupted
from specstore_service.operations import reports
from specstore_service.operations.making import Work
from specstore_service.store import opening

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


def test_a_worker_that_stops_gives_its_pipeline_back_at_once(upload, stalled, workers, settings, api):
    url, asked, proceed = stalled
    flow = upload({**RESOURCE, "path": url})
    thread, outcome = in_thread(workers.run, f"{flow}/reds_csv")
    assert asked.wait(60)
    workers.ending.set()
    thread.join(60)
    assert isinstance(outcome[0], Interrupted)
    proceed.set()
    workers.ending.clear()
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


def test_a_full_store_makes_the_pipeline_wait(upload, workers, api, monkeypatch):
    flow = upload()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable):
            workers.run(f"{flow}/reds_csv")
    assert api.status(flow).json["pipelines"][f"{flow}/reds_csv"]["status"] == "INPROGRESS"
    workers.run_all()
    assert api.status(flow).json["state"] == "SUCCEEDED"
    scratch = opening.objects_of(workers.settings).scratch
    assert list(scratch.iterdir()) == []


PATTERN = {"type": "string", "constraints": {"pattern": "wine [0-9]+"}}
CHECKED_ELSEWHERE = {
    **RESOURCE,
    "schema": {"fields": [{"name": "id", "type": "integer"}, {"name": "name", **PATTERN}]},
}


@pytest.fixture
def killing(monkeypatch):
    """From now on so many of the processes that check rows are killed; the exit codes of all there were."""
    begun = []

    def kill(most):
        class Killed(subprocess.Popen):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                begun.append(self)
                if len(begun) <= most:
                    self.kill()

        monkeypatch.setattr(subprocess, "Popen", Killed)
        monkeypatch.setattr(reports, "_PAUSES", (0.0, 0.0))
        return lambda: [process.wait(60) for process in begun]

    return kill


def test_a_check_of_rows_that_is_killed_is_made_again(upload, workers, api, killing):
    flow = upload(CHECKED_ELSEWHERE)
    codes = killing(2)
    workers.run(f"{flow}/validation_report")
    status = api.status(flow).json["pipelines"][f"{flow}/validation_report"]
    assert (codes(), status["status"], status["error_log"]) == ([-9, -9, 0], "SUCCEEDED", [])


def test_one_that_is_always_killed_fails_in_words(upload, workers, api, killing):
    flow = upload(CHECKED_ELSEWHERE)
    codes = killing(3)
    workers.run(f"{flow}/validation_report")
    status = api.status(flow).json["pipelines"][f"{flow}/validation_report"]
    assert (codes(), status["status"]) == ([-9, -9, -9], "FAILED")
    assert "killed again and again" in status["error_log"][0]


def test_a_check_whose_outcome_cannot_be_kept_waits(upload, workers, api, monkeypatch):
    """The process that checks has no room for what it found."""
    flow = upload(CHECKED_ELSEWHERE)
    with monkeypatch.context() as patch:
        patch.setattr(Work, "scratch", lambda _: Path("/dev/full"))
        with pytest.raises(Unavailable):
            workers.run(f"{flow}/validation_report")
    assert api.status(flow).json["pipelines"][f"{flow}/validation_report"]["status"] == "INPROGRESS"
    workers.run_all()
    assert api.status(flow).json["state"] == "SUCCEEDED"
