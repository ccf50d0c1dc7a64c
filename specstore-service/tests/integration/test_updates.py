import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = ["validation_report", "reds_csv", "reds_json", "wines_zip", "reds_csv_preview", "reds", ""]
RUNNER_HEADERS = {"X-Authenticated-Role": "runner"}
DEPENDENCY_ERROR = 'Dependency unsuccessful. Cannot run until dependency "{}" is successfully executed'


def pipelines_of(flow):
    return [f"{flow}/{name}".rstrip("/") for name in NAMES]


@pytest.fixture
def flow(api):
    return api.create_flow()


def states(api, flow):
    return [pipeline["status"] for pipeline in api.get(flow).json["pipelines"].values()]


def test_pipeline_progresses_from_queued_to_succeeded(api, flow, outbox_bodies):
    csv = f"{flow}/reds_csv"
    responses = [api.update(f"./{csv}", "queue"), api.update(csv, "start"), api.update(csv, "progress", log=["1 row"])]
    assert [(response.json["success"], response.json["status"]) for response in responses] == [
        ("pending", "pending"), ("pending", "running"), ("pending", "running"),
    ]  # fmt: skip
    assert api.finish(csv, stats={"bytes": 7}).json == {
        "success": "pending", "status": "running", "id": flow, "errors": [],
    }  # fmt: skip
    pipeline = api.get(flow).json["pipelines"][csv]
    assert (pipeline["status"], pipeline["stats"]) == ("SUCCEEDED", {"bytes": 7})
    assert [body["payload"] for body in outbox_bodies("FlowStarted")] == [{"flow_id": flow}]


def test_pipeline_is_queued_once_when_its_dependencies_succeed(api, flow, outbox_bodies):
    initial_count = len(outbox_bodies("specstore.pipeline"))
    for name in ("validation_report", "reds_csv", "reds_csv", "reds_json", "reds"):
        api.finish(f"{flow}/{name}")
    jobs = [body["pipeline"] for body in outbox_bodies("specstore.pipeline")][initial_count:]
    assert jobs == [f"{flow}/reds_csv_preview", f"{flow}/wines_zip"]
    for name in ("wines_zip", "reds_csv_preview"):
        api.finish(f"{flow}/{name}")
    assert outbox_bodies("specstore.pipeline")[-1] == {"flow": flow, "pipeline": flow}


def test_successful_flow_publishes_one_event(api, flow, outbox_bodies):
    stats = {"bytes": 10, "count_of_rows": 2, "dataset_name": "wines", "hash": "ab"}
    for pipeline in pipelines_of(flow):
        response = api.finish(pipeline, stats=stats, log=f"created {pipeline}\n")
    assert response.json == {"success": "success", "status": "success", "id": flow, "errors": []}
    late_response = api.finish(flow, success=False, errors=["late"])
    assert late_response.json == response.json
    status = api.get(flow).json
    assert (status["state"], status["stats"], status["error_log"]) == ("SUCCEEDED", stats, [])
    assert status["logs"] == [f"created {pipeline}" for pipeline in pipelines_of(flow)]
    assert [body["payload"] for body in outbox_bodies("FlowFinished")] == [
        {"flow_id": flow, "success": True, "errors": [], "findability": "published"}
    ]


def test_failure_fails_dependents_only(api, flow, outbox_bodies):
    api.finish(f"{flow}/reds_csv", success=False, errors=["row 7: invalid year"])
    assert states(api, flow) == ["QUEUED", "FAILED", "QUEUED", "FAILED", "FAILED", "QUEUED", "FAILED"]
    assert outbox_bodies("FlowFinished") == []
    for name in ("validation_report", "reds_json", "reds"):
        response = api.finish(f"{flow}/{name}")
    dependency_error = DEPENDENCY_ERROR.format(f"{flow}/reds_csv")
    assert response.json == {
        "success": "fail", "status": "failed", "id": flow, "errors": ["row 7: invalid year", dependency_error],
    }  # fmt: skip
    status = api.get(flow).json
    assert status["error_log"] == ["row 7: invalid year", dependency_error]
    assert status["pipelines"][f"{flow}/wines_zip"]["error_log"] == [dependency_error]
    (finished,) = outbox_bodies("FlowFinished")
    assert finished["payload"]["errors"] == ["row 7: invalid year", dependency_error]


def test_failure_of_the_last_pipeline_keeps_its_error(api, flow, outbox_bodies):
    for pipeline in pipelines_of(flow)[:-1]:
        api.finish(pipeline)
    assert api.finish(flow, success=False, errors=["disk full"]).json["errors"] == ["disk full"]
    assert api.get(flow).json["error_log"] == ["disk full"]
    (finished,) = outbox_bodies("FlowFinished")
    assert (finished["payload"]["success"], finished["payload"]["errors"]) == (False, ["disk full"])


@pytest.mark.parametrize("pipeline", ["ann/wines/9/reds", "x", "./", "../ann/wines/1", "ann/wines/1/%", "' OR 1=1 --"])
def test_unknown_pipeline_is_not_found(api, flow, pipeline):
    response = api.update(pipeline, "start")
    assert response.status_code == 404
    assert response.json == {"success": "fail", "status": "failed", "id": None, "errors": ["pipeline not found"]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"pipeline": None}, "pipeline"),
        ({"pipeline": ""}, "pipeline"),
        ({"pipeline": 7}, "pipeline"),
        ({"pipeline": "x" * 1025}, "pipeline"),
        ({"event": "stop"}, "event"),
        ({"event": None}, "event"),
        ({"event": "finish"}, "success"),
        ({"success": "true"}, "success"),
        ({"errors": "bad"}, "errors"),
        ({"errors": [1]}, "errors.0"),
        ({"log": {}}, "log"),
        ({"stats": []}, "stats"),
        ({"pipeline_id": "other"}, "pipeline_id"),
    ],
)
def test_invalid_field_is_named_and_changes_nothing(client, api, flow, change, field):
    before = api.get(flow).json
    response = client.post(
        "/source/update", json={"pipeline": flow, "event": "start", **change}, headers=RUNNER_HEADERS
    )
    assert response.status_code == 400
    assert (response.json["success"], response.json["id"]) == ("fail", None)
    assert field in response.json["errors"][0]
    assert api.get(flow).json == before


def test_status_shows_a_report_as_deep_as_a_request_may_be(api, flow):
    stats = 1
    for _ in range(63):
        stats = {"a": stats}
    pipeline = f"{flow}/reds_csv"
    assert api.update(pipeline, "progress", stats=stats).status_code == 200
    response = api.get(flow)
    assert (response.status_code, response.json["pipelines"][pipeline]["stats"]) == (200, stats)


def test_pipeline_may_be_named_by_pipeline_id(client, flow):
    response = client.post(
        "/source/update", json={"pipeline_id": f"./{flow}", "event": "start", "extra": 1}, headers=RUNNER_HEADERS
    )
    assert response.json["status"] == "running"


# The events and the outcome of each pipeline; "second progress" is a progress event with another log.
REPORTS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["queue", "start", "progress", "second progress"]), unique=True),
        st.sampled_from([True, True, True, False, None]),
    ),
    min_size=7,
    max_size=7,
)


def updates_of(flow, reports):
    """Return the bodies for POST /source/update; each pipeline has at most one outcome."""
    updates = []
    for pipeline, (events, success) in zip(pipelines_of(flow), reports, strict=True):
        for event in events:
            progress = {"log": [event, pipeline], "stats": {"rows": len(event)}} if "progress" in event else {}
            updates.append({"pipeline": pipeline, "event": event.split(" ")[-1], **progress})
        if success is not None:
            errors = [] if success else [f"{pipeline} is broken"]
            updates.append(
                {"pipeline": pipeline, "event": "finish", "success": success, "errors": errors, "stats": {"rows": 1}}
            )
    return updates


def visible_state(api, flow, outbox_bodies):
    """Return status and events of a flow without its ID and times, and whether each job was queued at most once."""
    status = api.get(flow).json
    del status["modified"]
    for pipeline in status["pipelines"].values():
        del pipeline["started"], pipeline["finished"]
    events = [
        (name, body["payload"].get("success"))
        for name in ("FlowStarted", "FlowFinished")
        for body in outbox_bodies(name)
        if body["payload"]["flow_id"] == flow
    ]
    jobs = sorted(body["pipeline"] for body in outbox_bodies("specstore.pipeline") if body["flow"] == flow)
    # Which jobs are queued depends on the order of updates: a pipeline may be queued before another one fails it.
    return str((status, events)).replace(flow, "f"), len(jobs) == len(set(jobs))


@pytest.mark.fuzz
def test_final_state_is_independent_of_order_and_repetition(app, api, outbox_bodies):
    def send(updates):
        client = app.test_client()
        for update in updates:
            assert client.post("/source/update", json=update, headers=RUNNER_HEADERS).status_code == 200

    @settings(max_examples=40)
    @given(reports=REPORTS, data=st.data())
    def check(reports, data):
        in_order, shuffled = api.create_flow(), api.create_flow()
        send(updates_of(in_order, reports))
        updates = updates_of(shuffled, reports)
        repeats = data.draw(st.lists(st.sampled_from(updates), max_size=10)) if updates else []
        permuted = data.draw(st.permutations(updates + repeats))
        threads = [threading.Thread(target=send, args=(permuted[part::4],)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        state = visible_state(api, shuffled, outbox_bodies)
        assert state == visible_state(api, in_order, outbox_bodies)
        assert state[1]

    check()


@pytest.mark.parametrize("failing", [None, "reds_csv", ""])
def test_concurrent_finishes_are_all_stored_and_end_the_flow_once(app, api, outbox_bodies, failing):
    for _ in range(34):
        flow = api.create_flow()
        barrier = threading.Barrier(7)

        def finish(pipeline, flow=flow, barrier=barrier):
            client = app.test_client()
            barrier.wait()
            success = failing is None or pipeline != f"{flow}/{failing}".rstrip("/")
            body = {
                "pipeline": pipeline,
                "event": "finish",
                "success": success,
                "errors": ["pipeline failed"],
                "stats": {"bytes": 1},
            }
            assert client.post("/source/update", json=body, headers=RUNNER_HEADERS).status_code == 200

        threads = [threading.Thread(target=finish, args=(pipeline,)) for pipeline in pipelines_of(flow)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        status = api.get(flow).json
        assert all(pipeline["stats"] == {"bytes": 1} for pipeline in status["pipelines"].values())
        assert status["state"] == ("SUCCEEDED" if failing is None else "FAILED")
        assert [body["payload"]["flow_id"] for body in outbox_bodies("FlowFinished")].count(flow) == 1
        if failing is not None:
            assert status["error_log"][0] == "pipeline failed"


def test_concurrent_uploads_and_updates_do_not_interfere(app, api, a_spec):
    first = api.create_flow()

    def upload():
        for _ in range(20):
            response = app.test_client().post("/source/upload", json=a_spec(), headers=api.headers)
            assert response.status_code == 200

    thread = threading.Thread(target=upload)
    thread.start()
    for pipeline in pipelines_of(first):
        for event in ("queue", "start", "progress"):
            api.update(pipeline, event)
        api.finish(pipeline)
    thread.join()
    assert api.get(first).json["state"] == "SUCCEEDED"
    assert api.get("ann/wines/latest").json["id"] == "ann/wines/21"


def test_concurrent_cancel_and_finish_end_the_flow_once(app, api, outbox_bodies):
    for _ in range(20):
        flow = api.create_flow()
        barrier = threading.Barrier(3)

        def finish(names, flow=flow, barrier=barrier):
            barrier.wait()
            for name in names:
                body = {"pipeline": f"{flow}/{name}".rstrip("/"), "event": "finish", "success": True}
                assert app.test_client().post("/source/update", json=body, headers=RUNNER_HEADERS).status_code == 200

        threads = [threading.Thread(target=finish, args=(names,)) for names in (NAMES[:4], NAMES[4:])]
        for thread in threads:
            thread.start()
        barrier.wait()
        assert api.post(f"{flow}/cancel").status_code == 200
        for thread in threads:
            thread.join()
        assert api.get(flow).json["state"] in ("FAILED", "SUCCEEDED")
        assert [body["payload"]["flow_id"] for body in outbox_bodies("FlowFinished")].count(flow) == 1
