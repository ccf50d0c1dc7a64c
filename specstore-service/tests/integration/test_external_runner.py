"""DPP_URL against a small server that does what datapackage-pipelines does: it fetches the plan when it is asked to

look again, and sends hooks (`./` before the ids, queue/start/progress/finish), each once, whatever comes of it.
"""

import http.server
import json
import threading
import uuid

import pytest

from chassis.errors import Unavailable
from chassis.messaging.message_processor import Delivery, JobContext
from specstore_service import handlers
from specstore_service.app import create_app

RUNNER = {"X-Authenticated-Role": "runner"}


class Runner:
    def __init__(self):
        self.asked, self.status = [], 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.command, self.path))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def run_all(self, client, outcome):
        """As its scheduler: what has all that it needs, one after the other, until nothing is left."""
        ended = {}
        while True:
            plan = client.get("/source/pipelines?limit=1000", headers=RUNNER).json["pipelines"]
            ready = [it for it in plan if it["id"] not in ended and set(it["needs"]) <= set(ended)]
            if not ready:
                return ended
            for it in ready:
                ended[it["id"]] = self.run(client, it["id"], outcome(it))

    def run(self, client, pipeline, success):
        """No hook is sent twice, and nobody looks at the answer."""
        hook = {"pipeline_id": f"./{pipeline}"}
        more = {"success": success, "errors": [] if success else ["it broke"], "stats": {"bytes": 1}, "log": "a\nb"}
        for event in ({"event": "queue"}, {"event": "start"}, {"event": "progress", "log": "a"}, {"event": "finish"}):
            body = {**hook, **event, **(more if event["event"] == "finish" else {})}
            client.post("/source/update", json=body, headers=RUNNER)
        return success

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def runner():
    runner = Runner()
    yield runner
    runner.stop()


@pytest.fixture
def outside(db, settings, runner):
    settings = settings.model_copy(update={"dpp_url": runner.url})
    app = create_app(settings)
    yield app.test_client()
    app.database.close()


@pytest.fixture
def upload(api, outside, a_spec):
    def upload(**spec):
        return outside.post("/source/upload", json=a_spec(**spec), headers=api.headers).json["flow_id"]

    return upload


@pytest.fixture
def deliver(db, settings, runner):
    def deliver(url=None):
        settings_ = settings.model_copy(update={"dpp_url": url or runner.url})
        message = Delivery("specstore.refresh", str(uuid.uuid4()), "", "specstore", "", {}, {"flow": "ann/wines/1"})
        handlers.on_refresh_wanted(JobContext(db, settings_, threading.Event()), message)

    return deliver


def test_the_runner_of_ours_stands_aside_and_the_other_one_is_told(upload, outbox, outbox_of, deliver, runner):
    flow = upload()
    assert outbox_of("specstore.pipeline") == []
    assert outbox_of("specstore.refresh") == [{"flow": flow}]
    deliver()
    assert runner.asked == [("GET", "/api/refresh")]


def test_a_runner_that_is_away_or_broken_is_waited_for(deliver, runner):
    runner.status = 500
    with pytest.raises(Unavailable):
        deliver()
    with pytest.raises(Unavailable):
        deliver("http://127.0.0.1:1")


def test_the_plan_is_handed_out_and_worked_off(outside, upload, api, runner, a_spec, outbox_of):
    flow = upload()
    (first, *_, last) = outside.get("/source/pipelines", headers=RUNNER).json["pipelines"]
    assert first == {
        "id": f"{flow}/validation_report", "title": "Validating package contents", "kind": "derived/report",
        "target": "", "flow_id": flow, "status": "QUEUED", "needs": [], "spec": a_spec(),
    }  # fmt: skip
    assert (last["id"], len(last["needs"])) == (flow, 6)
    runner.run_all(outside, lambda _: True)
    status = api.status(flow).json
    assert (status["state"], status["logs"]) == ("SUCCEEDED", ["a", "b"] * 7)
    assert outside.get("/source/pipelines", headers=RUNNER).json == {"pipelines": [], "total": 0}
    (finished,) = outbox_of("FlowFinished")
    assert finished["payload"]["success"] is True
    assert outbox_of("specstore.pipeline") == []


def test_a_failure_outside_ends_the_flow_with_its_text(outside, upload, api, runner):
    flow = upload(findability="private")
    runner.run_all(outside, lambda it: it["kind"] != "derived/csv")
    status = api.status(flow).json
    assert status["state"] == "FAILED" and status["error_log"][0] == "it broke"
    assert json.dumps(status["pipelines"][f"{flow}/wines_zip"]["error_log"]).count("Dependency unsuccessful") == 1


def test_hooks_that_are_lost_or_come_in_any_order_do_no_harm(outside, upload, api):
    flow = upload()
    pipelines = list(api.status(flow).json["pipelines"])
    for pipeline in reversed(pipelines):
        for event in ({"event": "finish", "success": True}, {"event": "start"}):
            outside.post("/source/update", json={"pipeline": f"./{pipeline}", **event}, headers=RUNNER)
    assert api.status(flow).json["state"] == "SUCCEEDED"


def test_the_plan_comes_in_pages(outside, upload):
    upload()
    upload(dataset="beers")
    pages = [outside.get(f"/source/pipelines?limit=5&offset={offset}", headers=RUNNER).json for offset in (0, 5, 10)]
    assert [page["total"] for page in pages] == [14] * 3
    assert len({it["id"] for page in pages for it in page["pipelines"]}) == 14
