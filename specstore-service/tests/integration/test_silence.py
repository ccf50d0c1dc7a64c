import threading
from datetime import UTC, datetime

import pytest

from specstore_service.app import create_app
from specstore_service.operations import updates

HOUR = 3600


@pytest.fixture
def look(db):
    def look():
        with db.transaction() as tx:
            updates.time_out(tx, HOUR, datetime.now(UTC))

    return look


@pytest.fixture
def age(db):
    """As if nothing had been heard of the pipeline for so long."""

    def age(pipeline, seconds=HOUR + 1):
        with db.transaction() as tx:
            changed = tx.run(
                "UPDATE pipelines SET heard_at = now() - make_interval(secs => %(seconds)s) WHERE name LIKE %(name)s",
                name=pipeline,
                seconds=seconds,
            )
        assert changed

    return age


@pytest.fixture
def external(settings, db):
    app = create_app(settings.model_copy(update={"dpp_url": "http://127.0.0.1:9"}))
    yield app.test_client()
    app.database.close()


def test_silent_pipeline_is_failed(api, look, age, outbox_bodies):
    flow = api.create_flow()
    api.update(f"{flow}/reds_csv", "start")
    api.update(f"{flow}/reds", "start")
    age(f"{flow}/reds_csv")
    age(f"{flow}/reds", HOUR - 60)
    look()
    pipelines = api.get(flow).json["pipelines"]
    assert (pipelines[f"{flow}/reds_csv"]["status"], pipelines[f"{flow}/reds_csv"]["error_log"]) == (
        "FAILED", ["timed out"],
    )  # fmt: skip
    assert pipelines[f"{flow}/reds"]["status"] == "INPROGRESS"
    for name in ("validation_report", "reds_json", "reds"):
        api.finish(f"{flow}/{name}")
    (finished,) = outbox_bodies("FlowFinished")
    assert finished["payload"]["errors"][0] == "timed out"


def test_progress_update_prevents_the_timeout(api, look, age):
    flow = api.create_flow()
    api.update(f"{flow}/reds_csv", "start")
    age(f"{flow}/reds_csv")
    api.update(f"{flow}/reds_csv", "progress")
    look()
    assert api.get(flow).json["pipelines"][f"{flow}/reds_csv"]["status"] == "INPROGRESS"


def test_update_after_the_timeout_changes_nothing(api, look, age):
    flow = api.create_flow()
    api.update(flow, "start")
    age(flow)
    look()
    api.finish(flow)
    assert api.get(flow).json["pipelines"][flow]["status"] == "FAILED"


def test_event_of_a_timed_out_flow_names_the_timer(api, external, look, age, a_spec, outbox_bodies):
    flow = external.post("/source/upload", json=a_spec(), headers=api.headers).json["flow_id"]
    age(f"{flow}%")
    look()
    assert api.get(flow).json["state"] == "FAILED"
    (finished,) = outbox_bodies("FlowFinished")
    assert finished["trigger"] == {"type": "timer", "name": "time-outs"}


def test_only_ready_pipelines_are_requeued_for_the_built_in_runner(api, look, age, outbox_bodies):
    flow = api.create_flow()
    age(f"{flow}%")
    look()
    look()
    jobs = [body["pipeline"] for body in outbox_bodies("specstore.pipeline")]
    ready = [f"{flow}/{name}" for name in ("validation_report", "reds_csv", "reds_json", "reds")]
    assert sorted(jobs) == sorted(ready * 2)
    assert api.get(flow).json["state"] == "QUEUED"


def test_pipeline_never_started_by_the_external_runner_times_out(api, external, look, age, a_spec):
    flow = external.post("/source/upload", json=a_spec(), headers=api.headers).json["flow_id"]
    for name in ("validation_report", "reds_csv", "reds_json"):
        api.finish(f"{flow}/{name}")
    age(f"{flow}/reds")
    look()
    assert api.get(flow).json["pipelines"][f"{flow}/reds"]["error_log"] == ["timed out"]
    assert api.get(flow).json["pipelines"][f"{flow}/wines_zip"]["status"] == "QUEUED"


def test_concurrent_workers_time_out_each_flow_once(api, look, age, outbox_bodies):
    flows = [api.create_flow(dataset=f"d{number}") for number in range(20)]
    for flow in flows:
        for name in ("validation_report", "reds_csv", "reds_json", "reds"):
            api.update(f"{flow}/{name}", "start")
        age(f"{flow}%")
    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    look()
    assert {api.get(flow).json["state"] for flow in flows} == {"FAILED"}
    assert sorted(it["payload"]["flow_id"] for it in outbox_bodies("FlowFinished")) == sorted(flows)
