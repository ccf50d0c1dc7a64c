"""DPP_URL refers to a small server that behaves as datapackage-pipelines does.

It fetches the plan when it is requested to refresh, and sends each hook once regardless of the response: the IDs begin
with `./`, and the events are queue, start, progress and finish.
"""

import http.server
import json
import threading
import uuid

import pytest

from chassis.errors import Unavailable
from chassis.messaging.delivery import Delivery
from chassis.messaging.message_processor import JobContext
from specstore_service import handlers
from specstore_service.app import create_app

RUNNER_HEADERS = {"X-Authenticated-Role": "runner"}


class FakeRunner:
    def __init__(self):
        self.requests, self.status = [], 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append((self.command, self.path))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def run_all(self, client, succeeds):
        """Run the pipelines whose dependencies have ended, one after another, until none are left."""
        success_by_id = {}
        while True:
            plan = client.get("/source/pipelines?limit=1000", headers=RUNNER_HEADERS).json["pipelines"]
            ready = [
                pipeline
                for pipeline in plan
                if pipeline["id"] not in success_by_id and set(pipeline["needs"]) <= set(success_by_id)
            ]
            if not ready:
                return success_by_id
            for pipeline in ready:
                success_by_id[pipeline["id"]] = self.run(client, pipeline["id"], succeeds(pipeline))

    def run(self, client, pipeline, success):
        """Send each hook once and ignore the response."""
        errors = [] if success else ["pipeline failed"]
        result = {"success": success, "errors": errors, "stats": {"bytes": 1}, "log": "a\nb"}
        for update in (
            {"event": "queue"},
            {"event": "start"},
            {"event": "progress", "log": "a"},
            {"event": "finish", **result},
        ):
            client.post("/source/update", json={"pipeline_id": f"./{pipeline}", **update}, headers=RUNNER_HEADERS)
        return success

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def runner():
    runner = FakeRunner()
    yield runner
    runner.stop()


@pytest.fixture
def external_client(db, settings, runner):
    settings = settings.model_copy(update={"dpp_url": runner.url})
    app = create_app(settings)
    yield app.test_client()
    app.database.close()


@pytest.fixture
def upload(api, external_client, a_spec):
    def upload(**fields):
        return external_client.post("/source/upload", json=a_spec(**fields), headers=api.headers).json["flow_id"]

    return upload


@pytest.fixture
def deliver(db, settings, runner):
    def deliver(url=None):
        runner_settings = settings.model_copy(update={"dpp_url": url or runner.url})
        message = Delivery("specstore.refresh", str(uuid.uuid4()), "", "specstore", "", {}, {"flow": "ann/wines/1"})
        handlers.on_refresh_requested(JobContext(db, runner_settings, threading.Event()), message)

    return deliver


def test_upload_notifies_the_external_runner_instead_of_the_built_in_one(
    upload, outbox, outbox_bodies, deliver, runner
):
    flow = upload()
    assert outbox_bodies("specstore.pipeline") == []
    assert outbox_bodies("specstore.refresh") == [{"flow": flow}]
    deliver()
    assert runner.requests == [("GET", "/api/refresh")]


def test_refresh_of_an_unreachable_or_failing_runner_is_unavailable(deliver, runner):
    runner.status = 500
    with pytest.raises(Unavailable):
        deliver()
    with pytest.raises(Unavailable):
        deliver("http://127.0.0.1:1")


def test_external_runner_completes_the_flow_from_the_plan(external_client, upload, api, runner, a_spec, outbox_bodies):
    flow = upload()
    (first, *_, last) = external_client.get("/source/pipelines", headers=RUNNER_HEADERS).json["pipelines"]
    assert first == {
        "id": f"{flow}/validation_report", "title": "Validating package contents", "kind": "derived/report",
        "target": "", "flow_id": flow, "status": "QUEUED", "needs": [], "spec": a_spec(),
    }  # fmt: skip
    assert (last["id"], len(last["needs"])) == (flow, 6)
    runner.run_all(external_client, lambda _: True)
    status = api.get(flow).json
    assert (status["state"], status["logs"]) == ("SUCCEEDED", ["a", "b"] * 7)
    assert external_client.get("/source/pipelines", headers=RUNNER_HEADERS).json == {"pipelines": [], "total": 0}
    (finished,) = outbox_bodies("FlowFinished")
    assert finished["payload"]["success"] is True
    assert outbox_bodies("specstore.pipeline") == []


def test_failure_in_the_external_runner_fails_the_flow_with_its_error(external_client, upload, api, runner):
    flow = upload(findability="private")
    runner.run_all(external_client, lambda pipeline: pipeline["kind"] != "derived/csv")
    status = api.get(flow).json
    assert status["state"] == "FAILED" and status["error_log"][0] == "pipeline failed"
    assert json.dumps(status["pipelines"][f"{flow}/wines_zip"]["error_log"]).count("Dependency unsuccessful") == 1


def test_lost_or_reordered_hooks_still_complete_the_flow(external_client, upload, api):
    flow = upload()
    pipelines = list(api.get(flow).json["pipelines"])
    for pipeline in reversed(pipelines):
        for event in ({"event": "finish", "success": True}, {"event": "start"}):
            external_client.post("/source/update", json={"pipeline": f"./{pipeline}", **event}, headers=RUNNER_HEADERS)
    assert api.get(flow).json["state"] == "SUCCEEDED"


def test_plan_is_returned_in_pages_with_the_total(external_client, upload):
    upload()
    upload(dataset="beers")
    pages = [
        external_client.get(f"/source/pipelines?limit=5&offset={offset}", headers=RUNNER_HEADERS).json
        for offset in (0, 5, 10)
    ]
    assert [page["total"] for page in pages] == [14] * 3
    assert len({pipeline["id"] for page in pages for pipeline in page["pipelines"]}) == 14
