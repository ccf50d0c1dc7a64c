import copy
import http.server
import json
import shutil
import threading
import uuid
from datetime import UTC, datetime

import pytest
from werkzeug.serving import make_server

from chassis.messaging.delivery import Delivery
from chassis.messaging.message_processor import JobContext
from quintet_testing import plugin as testing
from specstore_service import handlers
from specstore_service.app import create_app
from specstore_service.domain.sources import Source, sources_of
from specstore_service.operations import row_batches, tokens
from specstore_service.operations.uploads import parse_spec
from specstore_service.settings import Settings
from specstore_service.store import keys


@pytest.fixture(scope="session")
def settings(postgres_url, tmp_path_factory):
    return testing.migrated(Settings, "specstore", postgres_url, data_dir=str(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)


@pytest.fixture(scope="session")
def key_pair():
    return tokens.generate_key_pair()


@pytest.fixture
def db(db, key_pair):
    """Insert the session's signing key, because the app caches it for longer than a test."""
    with db.transaction() as tx:
        keys.get_key_pair(tx, lambda: key_pair)
    return db


@pytest.fixture(scope="session")
def a_token(key_pair):
    def issue(userid="ann", max_datasets=1000):
        return tokens.issue(key_pair[0], userid, max_datasets, datetime.now(UTC))

    return issue


@pytest.fixture
def outbox_bodies(outbox):
    """Return the bodies of all messages of one type."""
    return lambda type_: [body for message_type, body in outbox() if message_type == type_]


SPEC = {
    "meta": {"owner": "Ann", "ownerid": "ann", "dataset": "wines", "version": 1, "findability": "published"},
    "inputs": [
        {
            "kind": "datapackage",
            "url": "datapackage.json",
            "parameters": {
                "descriptor": {
                    "name": "wines",
                    "resources": [
                        {
                            "name": "reds",
                            "data": [{"name": "Malbec", "year": 2020}, {"name": "Syrah", "year": 2021}],
                            "schema": {
                                "fields": [{"name": "name", "type": "string"}, {"name": "year", "type": "integer"}]
                            },
                        }
                    ],
                }
            },
        }
    ],
}


def build_spec(owner="ann", dataset="wines", findability="published", resources=None, **fields):
    spec = copy.deepcopy(SPEC)
    spec["meta"].update(ownerid=owner, dataset=dataset, findability=findability)
    if resources is not None:
        spec["inputs"][0]["parameters"]["descriptor"]["resources"] = resources
    return {**spec, **fields}


@pytest.fixture(scope="session")
def a_spec():
    return build_spec


@pytest.fixture
def source_of(a_spec):
    def source_of(**properties) -> Source:
        if "data" not in properties:
            properties = {"path": "reds.csv", **properties}
        return sources_of(parse_spec(a_spec(resources=[{"name": "reds", **properties}])))[0]

    return source_of


@pytest.fixture
def read_resource(tmp_path, source_of):
    """Return the headers and rows of a resource with these parts of a file, each text or bytes."""

    def read_resource(*parts, numbers=None, **properties):
        paths = []
        for number, part in enumerate(parts):
            paths.append(tmp_path / str(number))
            paths[-1].write_bytes(part.encode() if isinstance(part, str) else part)
        source = source_of(**properties)
        with row_batches.read_batches(source, paths or None, 10_000_000, numbers) as batches:
            return [row for batch in batches for row in batch]

    return read_resource


class ApiClient:
    """Sends the requests of specstore.md with the token of one user."""

    def __init__(self, client, token):
        self.client, self.headers = client, {"Auth-Token": token}

    def upload(self, spec=None, **headers):
        return self.client.post(
            "/source/upload", json=build_spec() if spec is None else spec, headers={**self.headers, **headers}
        )

    def create_flow(self, **fields):
        """Upload a spec and return the ID of its flow."""
        response = self.upload(build_spec(**fields))
        assert response.status_code == 200, response.json
        return response.json["flow_id"]

    def get(self, path="ann/wines/latest", **headers):
        return self.client.get(f"/source/{path}", headers={**self.headers, **headers})

    def update(self, pipeline, event, **fields):
        body = {"pipeline": pipeline, "event": event, **fields}
        return self.client.post("/source/update", json=body, headers=self.headers)

    def finish(self, pipeline, success=True, **fields):
        return self.update(pipeline, "finish", success=success, **fields)

    def post(self, path, **headers):
        return self.client.post(f"/source/{path}", headers={**self.headers, **headers})


@pytest.fixture
def api(client, a_token):
    return ApiClient(client, a_token())


class Workers:
    """Runs the jobs waiting in the outbox, as workers would."""

    def __init__(self, db, settings):
        self.db, self.settings, self.stop_event = db, settings, threading.Event()

    def take_jobs(self):
        """Delete the waiting jobs from the outbox and return the IDs of their pipelines."""
        with self.db.transaction() as tx:
            rows = tx.rows("DELETE FROM outbox WHERE type = 'specstore.pipeline' RETURNING id, body")
        return [json.loads(body)["pipeline"] for _, body in sorted(rows)]

    def run(self, pipeline):
        body = {"flow": pipeline, "pipeline": pipeline}
        delivery = Delivery("specstore.pipeline", str(uuid.uuid4()), "specstore.pipeline", "specstore", "r-1", {}, body)
        handlers.on_pipeline_ready(self.context, delivery)

    @property
    def context(self):
        return JobContext(self.db, self.settings, self.stop_event)

    def run_all(self):
        while pipelines := self.take_jobs():
            for pipeline in pipelines:
                self.run(pipeline)


@pytest.fixture
def workers(db, settings):
    """Empty the object store, as the database is emptied, and return the workers."""
    for folder in ("objects", "scratch"):
        shutil.rmtree(f"{settings.data_dir}/{folder}", ignore_errors=True)
    return Workers(db, settings)


@pytest.fixture
def run(api, workers):
    """Upload a spec with these resources, run its flow and return the status."""

    def run(*resources, **fields):
        flow = api.create_flow(resources=list(resources), **fields)
        workers.run_all()
        return api.get(flow).json

    return run


@pytest.fixture
def get(client, a_token):
    def get(status, file):
        response = client.get(f"/source/{status['id']}/data/{file}", headers={"Auth-Token": a_token()})
        assert response.status_code == 200, (file, response.json)
        return response.data

    return get


@pytest.fixture
def put(client, a_token):
    def put(path, content):
        response = client.put(f"/source/ann/files/{path}", data=content, headers={"Auth-Token": a_token()})
        assert response.status_code == 200, response.json
        return response.json

    return put


@pytest.fixture
def base_url(app):
    """Serve the app over HTTP and yield its URL."""
    with make_server("127.0.0.1", 0, app, threaded=True) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class SourceServer:
    """Sends the configured response for each path and records the requests."""

    def __init__(self):
        self.handlers, self.requests = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append((self.path, dict(self.headers)))
                outer.handlers[self.path](self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, path, body=b"", status=200, **headers):
        """Configure a complete response and return its URL; underscores in header names become hyphens."""

        def respond(handler):
            handler.send_response(status)
            named_headers = {name.replace("_", "-"): value for name, value in headers.items()}
            for name, value in {"Content-Length": str(len(body)), **named_headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        self.handlers[path] = respond
        return f"{self.url}{path}"

    def stream(self, path, chunks):
        """Configure a response without a Content-Length, which is endless if `chunks` is, and return its URL."""

        def respond(handler):
            handler.send_response(200)
            handler.end_headers()
            try:
                for chunk in chunks():
                    handler.wfile.write(chunk)
            except OSError:
                pass

        self.handlers[path] = respond
        return f"{self.url}{path}"


@pytest.fixture(scope="session")
def server():
    server = SourceServer()
    yield server
    server.server.shutdown()
    server.server.server_close()
