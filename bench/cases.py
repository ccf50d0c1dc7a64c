"""The benchmarked requests, and the data that they need."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from wrk import Request

from quintet_local.testing import TestStack

STREAMS = [f"/api/v1/streams/bench-{number}/events" for number in range(100)]
EVENT = {
    "event": {"name": "BenchEvent", "version": 1},
    "system": {"id": "alv123", "name": "codello alvine", "time": "2017-09-06 13:58:12", "timezone": "Europe/Berlin"},
    "trigger": {"type": "system", "name": "/path/to/script.php"},
    "payload": {
        "order": 4711,
        "lines": [{"sku": f"A-{n}", "quantity": n, "price": 9.95} for n in range(4)],
        "note": "für Ärger",
    },
}
_PRODUCER = {"Content-Type": "application/json", "X-Producer-ID": "bench"}

ISSUE_ONE = Request(["/sequence"])
ISSUE_THOUSAND = Request(["/json-sequence?n=1000"])
APPEND_ONE = Request(STREAMS, "POST", _PRODUCER, json.dumps(EVENT))
APPEND_HUNDRED = Request(STREAMS, "POST", _PRODUCER, json.dumps([EVENT] * 100), connections=16)
READ_PAGE = Request([f"{path}?eventName=BenchEvent&limit=100" for path in STREAMS], headers={"X-Consumer-ID": "bench"})

_POINTS = 20
CHART = {
    "sprocket_production_actual": [30 + n % 5 for n in range(_POINTS)],
    "sprocket_production_goal": [32 - n % 4 for n in range(_POINTS)],
    "time": [1611194818 + 60 * n for n in range(_POINTS)],
}
SPROCKET = {"teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": 1}
_FIELDS = [{"name": "name", "type": "string"}, {"name": "year", "type": "integer"}, {"name": "price", "type": "number"}]


class _Runner(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def external_runner() -> Iterator[str]:
    """Yield the address of a runner that runs nothing: the registry of specs is measured, not pipelines."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Runner) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def session_of(stack: TestStack) -> requests.Session:
    session = requests.Session()
    session.auth = (stack.user, stack.password)
    session.headers["Content-Type"] = "application/json"
    return session


def create_factories(stack: TestStack, count: int = 100) -> list[str]:
    """Create factories with twenty points each, as in the samples, and return their paths."""
    with session_of(stack) as session:
        bodies = [{"name": f"Bench {n}", "chart_data": CHART} for n in range(count)]
        responses = [session.post(f"{stack.url}/api/factories", json=body, timeout=30) for body in bodies]
    return [response.headers["Location"] for response in responses]


def read_unchanged(addresses: list[str], stack: TestStack, path: str) -> Request:
    """Return a request for a chart with the current ETag of each application."""
    with session_of(stack) as session:
        responses = [session.get(address + path, timeout=30) for address in addresses]
    etags = {response.headers["ETag"] for response in responses if "ETag" in response.headers}
    return Request([path], headers={"If-None-Match": ", ".join(sorted(etags))})


def upload_specs(stack: TestStack, count: int = 100) -> tuple[Request, Request]:
    """Upload a spec; return a request for the status of its flow, and one that uploads specs of several datasets."""
    with session_of(stack) as session:
        token = session.post(f"{stack.url}/auth/token", timeout=10).json()["token"]
        headers = {"Content-Type": "application/json", "Auth-Token": token}
        bodies = [json.dumps(spec(stack.user, f"bench-{number}")) for number in range(count)]
        session.post(f"{stack.url}/source/upload", bodies[0], headers=headers, timeout=10).raise_for_status()
    status = Request([f"/source/{stack.user}/bench-0/1"])
    return status, Request(["/source/upload"], "POST", headers, bodies=bodies)


def spec(owner: str, dataset: str) -> dict[str, object]:
    resource = {"name": "wines", "path": "https://example.org/wines.csv", "schema": {"fields": _FIELDS}}
    parameters = {"descriptor": {"name": "bench", "resources": [resource]}}
    return {
        "meta": {"owner": owner, "ownerid": owner, "dataset": dataset, "version": 1, "findability": "published"},
        "inputs": [{"kind": "datapackage", "url": "datapackage.json", "parameters": parameters}],
    }
