"""With DPP_URL, an external runner receives notifications, fetches the plan and reports updates."""

import http.server
import secrets
import threading
from contextlib import closing, contextmanager

import pytest

from quintet_e2e.clients import Client, ok_json
from quintet_e2e.faults import assert_recovered
from quintet_e2e.specs import Owner
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

WEB, WORKER = "specstore-web", "specstore-worker"
READY_SECONDS, PUBLISH_SECONDS = 180, 60
REJECTED_NOTIFICATIONS = 2

pytestmark = [pytest.mark.slow, ON_ONE_STACK]


class Runner:
    """A runner with the protocol of datapackage-pipelines.

    On each notification it fetches the plan and runs all pipelines that are ready, one after the other. It reports each
    update once, with `./` before the ID, and ignores the response.
    """

    def __init__(self, client):
        self.client, self.notification_count, self.failing_kind = client, 0, ""
        self._refresh_event, self._stop_event = threading.Event(), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                assert self.path == "/api/refresh"
                outer.notification_count += 1
                is_rejected = outer.notification_count <= REJECTED_NOTIFICATIONS
                self.send_response(503 if is_rejected else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if not is_rejected:
                    outer._refresh_event.set()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._threads = [threading.Thread(target=work) for work in (self._server.serve_forever, self._work)]

    @contextmanager
    def running(self):
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop_event.set()
            self._refresh_event.set()
            self._server.shutdown()
            self._server.server_close()
            for thread in self._threads:
                thread.join()

    def _work(self):
        results = {}
        while self._refresh_event.wait() and not self._stop_event.is_set():
            self._refresh_event.clear()
            while ready := self._ready(results):
                for pipeline in ready:
                    results[pipeline["id"]] = self._run(pipeline)

    def _ready(self, results):
        plan = ok_json(self.client.get("/source/pipelines?limit=1000"))["pipelines"]
        return [
            pipeline
            for pipeline in plan
            if pipeline["id"] not in results and all(results.get(dependency) for dependency in pipeline["needs"])
        ]

    def _run(self, pipeline):
        hook, success = {"pipeline_id": f"./{pipeline['id']}"}, pipeline["kind"] != self.failing_kind
        for event in ("queue", "start", "progress"):
            self.client.post("/source/update", json={**hook, "event": event})
        result = {
            "success": success,
            "errors": [] if success else ["pipeline failed"],
            "stats": {"bytes": 7},
            "log": "one\ntwo",
        }
        self.client.post("/source/update", json={**hook, "event": "finish", **result})
        return success


@pytest.fixture
def runner(stack):
    """Yield an external runner with a user of the role `runner`; the service has DPP_URL until the test ends."""
    name = f"runner-{secrets.token_hex(4)}"
    user = Client(stack, name, stack.add_user(name, "runner"))
    with closing(user), Runner(user).running() as runner:
        stack.stop(WEB)
        stack.stop(WORKER)
        try:
            with stack.extra_process(WEB, DPP_URL=runner.url), stack.extra_process(WORKER, DPP_URL=runner.url):
                stack.wait_until_healthy(READY_SECONDS)
                yield runner
        finally:
            stack.start(WEB)
            stack.start(WORKER)
    stack.wait_until_healthy(READY_SECONDS)


def test_external_runner_runs_flows(stack, client, runner):
    owner = Owner(client)
    flow = owner.upload(owner.new_dataset_name())
    status = owner.wait_for_end(flow)
    assert runner.notification_count > REJECTED_NOTIFICATIONS
    assert (status["state"], status["error_log"], status["logs"]) == ("SUCCEEDED", [], ["one", "two"] * 7)
    assert {pipeline["stats"]["bytes"] for pipeline in status["pipelines"].values()} == {7}
    assert client.get(f"/source/{flow}/data/datapackage.json").status_code == 404
    eventually(lambda: owner.event_names(flow)[-1:] == ["FlowFinished"], PUBLISH_SECONDS)
    assert owner.event_names(flow) == ["FlowQueued", "FlowStarted", "FlowFinished"]
    runner.failing_kind = "derived/csv"
    failed_flow = owner.upload(owner.new_dataset_name())
    status = owner.wait_for_end(failed_flow)
    assert (status["state"], status["error_log"][0]) == ("FAILED", "pipeline failed")
    eventually(lambda: owner.event_names(failed_flow) == ["FlowQueued", "FlowStarted", "FlowFinished"], PUBLISH_SECONDS)
    assert owner.event_names(flow) == ["FlowQueued", "FlowStarted", "FlowFinished"]
    assert_recovered(stack)
