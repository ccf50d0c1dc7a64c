import threading
from datetime import UTC, datetime

import pytest

from specstore_service.__main__ import timers
from specstore_service.app import create_app
from specstore_service.operations import updates

HOUR = 3600


@pytest.fixture
def time_out(db):
    def time_out():
        with db.transaction() as tx:
            updates.time_out(tx, HOUR, datetime.now(UTC))

    return time_out


@pytest.fixture
def make_silent(db):
    """Move the last update of the matching pipelines into the past."""

    def make_silent(name_pattern, seconds=HOUR + 1):
        with db.transaction() as tx:
            changed = tx.run(
                "UPDATE pipelines SET heard_at = now() - make_interval(secs => %(seconds)s) WHERE name LIKE %(name)s",
                name=name_pattern,
                seconds=seconds,
            )
        assert changed

    return make_silent


@pytest.fixture
def external_client(settings, db):
    app = create_app(settings.model_copy(update={"dpp_url": "http://127.0.0.1:9"}))
    yield app.test_client()
    app.database.close()


def test_silent_pipeline_is_failed(api, time_out, make_silent, outbox_bodies):
    flow = api.create_flow()
    api.update(f"{flow}/reds_csv", "start")
    api.update(f"{flow}/reds", "start")
    make_silent(f"{flow}/reds_csv")
    make_silent(f"{flow}/reds", HOUR - 60)
    time_out()
    pipelines = api.get(flow).json["pipelines"]
    assert (pipelines[f"{flow}/reds_csv"]["status"], pipelines[f"{flow}/reds_csv"]["error_log"]) == (
        "FAILED", ["timed out"],
    )  # fmt: skip
    assert pipelines[f"{flow}/reds"]["status"] == "INPROGRESS"
    for name in ("validation_report", "reds_json", "reds"):
        api.finish(f"{flow}/{name}")
    (finished,) = outbox_bodies("FlowFinished")
    assert finished["payload"]["errors"][0] == "timed out"


def test_duration_of_the_timeout_is_configurable(api, db, settings, make_silent):
    flow = api.create_flow()
    api.update(f"{flow}/reds_csv", "start")
    make_silent(f"{flow}/reds_csv", seconds=100)
    for silent_seconds, status in ((200, "INPROGRESS"), (90, "FAILED")):
        timer = timers(settings.model_copy(update={"pipeline_silence_seconds": silent_seconds}))["time-outs"]
        with db.transaction() as tx:
            timer.run(tx, datetime.now(UTC))
        assert api.get(flow).json["pipelines"][f"{flow}/reds_csv"]["status"] == status


def test_progress_update_prevents_the_timeout(api, time_out, make_silent):
    flow = api.create_flow()
    api.update(f"{flow}/reds_csv", "start")
    make_silent(f"{flow}/reds_csv")
    api.update(f"{flow}/reds_csv", "progress")
    time_out()
    assert api.get(flow).json["pipelines"][f"{flow}/reds_csv"]["status"] == "INPROGRESS"


def test_update_after_the_timeout_changes_nothing(api, time_out, make_silent):
    flow = api.create_flow()
    api.update(flow, "start")
    make_silent(flow)
    time_out()
    api.finish(flow)
    assert api.get(flow).json["pipelines"][flow]["status"] == "FAILED"


def test_event_of_a_timed_out_flow_names_the_timer(api, external_client, time_out, make_silent, a_spec, outbox_bodies):
    flow = external_client.post("/source/upload", json=a_spec(), headers=api.headers).json["flow_id"]
    make_silent(f"{flow}%")
    time_out()
    assert api.get(flow).json["state"] == "FAILED"
    (finished,) = outbox_bodies("FlowFinished")
    assert finished["trigger"] == {"type": "timer", "name": "time-outs"}


def test_only_ready_pipelines_are_requeued_for_the_built_in_runner(api, time_out, make_silent, outbox_bodies):
    flow = api.create_flow()
    make_silent(f"{flow}%")
    time_out()
    time_out()
    jobs = [body["pipeline"] for body in outbox_bodies("specstore.pipeline")]
    ready = [f"{flow}/{name}" for name in ("validation_report", "reds_csv", "reds_json", "reds")]
    assert sorted(jobs) == sorted(ready * 2)
    assert api.get(flow).json["state"] == "QUEUED"


def test_pipeline_never_started_by_the_external_runner_times_out(api, external_client, time_out, make_silent, a_spec):
    flow = external_client.post("/source/upload", json=a_spec(), headers=api.headers).json["flow_id"]
    for name in ("validation_report", "reds_csv", "reds_json"):
        api.finish(f"{flow}/{name}")
    make_silent(f"{flow}/reds")
    time_out()
    assert api.get(flow).json["pipelines"][f"{flow}/reds"]["error_log"] == ["timed out"]
    assert api.get(flow).json["pipelines"][f"{flow}/wines_zip"]["status"] == "QUEUED"


def test_concurrent_workers_time_out_each_flow_once(api, time_out, make_silent, outbox_bodies):
    flows = [api.create_flow(dataset=f"d{number}") for number in range(20)]
    for flow in flows:
        for name in ("validation_report", "reds_csv", "reds_json", "reds"):
            api.update(f"{flow}/{name}", "start")
        make_silent(f"{flow}%")
    threads = [threading.Thread(target=time_out) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time_out()
    assert {api.get(flow).json["state"] for flow in flows} == {"FAILED"}
    assert sorted(body["payload"]["flow_id"] for body in outbox_bodies("FlowFinished")) == sorted(flows)
