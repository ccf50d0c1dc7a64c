"""With DPP_URL: pipelines are run by somebody else, who is told of them, fetches the plan and sends hooks."""

import http.server
import secrets
import threading
from contextlib import closing, contextmanager

import pytest

from quintet_e2e.clients import Client, done
from quintet_e2e.faults import assert_healed
from quintet_e2e.specs import Owner
from quintet_testing.waiting import eventually

WEB, WORKER = "specstore-web", "specstore-worker"
READY_WITHIN, TOLD_WITHIN = 60, 60
REFUSED_FIRST = 2

pytestmark = pytest.mark.parametrize("stack", ["local"], indirect=True)


class Runner:
    """As datapackage-pipelines: it looks again when it is asked to, runs what it can, one after the other, and sends

    hooks, with `./` before the ids, each once, whatever is answered.
    """

    def __init__(self, client):
        self.client, self.asked, self.fails = client, 0, ""
        self._wanted, self._stopping = threading.Event(), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                assert self.path == "/api/refresh"
                outer.asked += 1
                is_refused = outer.asked <= REFUSED_FIRST
                self.send_response(503 if is_refused else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if not is_refused:
                    outer._wanted.set()

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
            self._stopping.set()
            self._wanted.set()
            self._server.shutdown()
            self._server.server_close()
            for thread in self._threads:
                thread.join()

    def _work(self):
        ended = {}
        while self._wanted.wait() and not self._stopping.is_set():
            self._wanted.clear()
            while ready := self._ready(ended):
                for pipeline in ready:
                    ended[pipeline["id"]] = self._run(pipeline)

    def _ready(self, ended):
        plan = done(self.client.get("/source/pipelines?limit=1000"))["pipelines"]
        return [it for it in plan if it["id"] not in ended and all(ended.get(needed) for needed in it["needs"])]

    def _run(self, pipeline):
        hook, success = {"pipeline_id": f"./{pipeline['id']}"}, pipeline["kind"] != self.fails
        for event in ("queue", "start", "progress"):
            self.client.post("/source/update", json={**hook, "event": event})
        end = {"success": success, "errors": [] if success else ["it broke"], "stats": {"bytes": 7}, "log": "one\ntwo"}
        self.client.post("/source/update", json={**hook, "event": "finish", **end})
        return success


@pytest.fixture
def runner(stack):
    """A user with the role `runner`. For the duration of the test, the service has DPP_URL."""
    name = f"runner-{secrets.token_hex(4)}"
    user = Client(stack, name, stack.add_user(name, "runner"))
    with closing(user), Runner(user).running() as runner:
        stack.stop(WEB)
        stack.stop(WORKER)
        try:
            with stack.one_more(WEB, DPP_URL=runner.url), stack.one_more(WORKER, DPP_URL=runner.url):
                stack.wait_until_healthy(READY_WITHIN)
                yield runner
        finally:
            stack.start(WEB)
            stack.start(WORKER)
    stack.wait_until_healthy(READY_WITHIN)


def test_flows_are_run_by_a_runner_outside(stack, client, runner):
    owner = Owner(client)
    flow = owner.upload(owner.new_dataset())
    status = owner.ended(flow)
    assert runner.asked > REFUSED_FIRST
    assert (status["state"], status["error_log"], status["logs"]) == ("SUCCEEDED", [], ["one", "two"] * 7)
    assert {pipeline["stats"]["bytes"] for pipeline in status["pipelines"].values()} == {7}
    assert client.get(f"/source/{flow}/data/datapackage.json").status_code == 404
    eventually(lambda: owner.told(flow)[-1:] == ["FlowFinished"], TOLD_WITHIN)
    assert owner.told(flow) == ["FlowQueued", "FlowStarted", "FlowFinished"]
    runner.fails = "derived/csv"
    broken = owner.upload(owner.new_dataset())
    status = owner.ended(broken)
    assert (status["state"], status["error_log"][0]) == ("FAILED", "it broke")
    eventually(lambda: owner.told(broken) == ["FlowQueued", "FlowStarted", "FlowFinished"], TOLD_WITHIN)
    assert owner.told(flow) == ["FlowQueued", "FlowStarted", "FlowFinished"]
    assert_healed(stack)
