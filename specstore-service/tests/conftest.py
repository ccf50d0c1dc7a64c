import copy
import http.server
import json
import secrets
import shutil
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chassis.errors import Unavailable
from chassis.messaging.message_processor import Delivery, JobContext
from quintet_testing import plugin as testing
from quintet_testing.postgres import free_port
from specstore_service import handlers
from specstore_service.app import create_app
from specstore_service.operations import tokens
from specstore_service.settings import Settings
from specstore_service.store import keys, object_stores
from specstore_service.store.objects import scratch_file


@pytest.fixture(scope="session")
def settings(postgres_url, tmp_path_factory):
    return testing.migrated(Settings, "specstore", postgres_url, data_dir=str(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)


@pytest.fixture(scope="session")
def key_pair():
    return tokens.make_pair()


@pytest.fixture
def db(db, key_pair):
    """What the app keeps of the key outlives a test, so the key does too."""
    with db.transaction() as tx:
        keys.get_pair(tx, lambda: key_pair)
    return db


@pytest.fixture(scope="session")
def a_token(key_pair):
    def make(userid="ann", most_datasets=1000):
        return tokens.issue(key_pair[0], userid, most_datasets, datetime.now(UTC))

    return make


@pytest.fixture
def outbox_of(outbox):
    """The bodies of the messages of one type."""
    return lambda type_: [body for found, body in outbox() if found == type_]


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


def _a_spec(owner="ann", dataset="wines", findability="published", resources=None, **more):
    spec = copy.deepcopy(SPEC)
    spec["meta"].update(ownerid=owner, dataset=dataset, findability=findability)
    if resources is not None:
        spec["inputs"][0]["parameters"]["descriptor"]["resources"] = resources
    return {**spec, **more}


@pytest.fixture(scope="session")
def a_spec():
    """Builds a spec with sensible defaults."""
    return _a_spec


class Api:
    """The requests of specstore.md, as one user with his token."""

    def __init__(self, client, token):
        self.client, self.headers = client, {"Auth-Token": token}

    def upload(self, spec=None, **headers):
        return self.client.post(
            "/source/upload", json=_a_spec() if spec is None else spec, headers={**self.headers, **headers}
        )

    def uploaded(self, **spec):
        """The id of a new flow."""
        answer = self.upload(_a_spec(**spec))
        assert answer.status_code == 200, answer.json
        return answer.json["flow_id"]

    def status(self, flow_id="ann/wines/latest", **headers):
        return self.client.get(f"/source/{flow_id}", headers={**self.headers, **headers})

    def update(self, pipeline, event, **more):
        body = {"pipeline": pipeline, "event": event, **more}
        return self.client.post("/source/update", json=body, headers=self.headers)

    def finish(self, pipeline, success=True, **more):
        return self.update(pipeline, "finish", success=success, **more)

    def post(self, path, **headers):
        return self.client.post(f"/source/{path}", headers={**self.headers, **headers})


@pytest.fixture
def api(client, a_token):
    return Api(client, a_token())


class Workers:
    """Runs what waits in the outbox, as workers would."""

    def __init__(self, db, settings):
        self.db, self.settings, self.stop_event = db, settings, threading.Event()

    def waiting(self):
        """The ids of pipelines whose job was put out; it is taken out with this."""
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
        while waiting := self.waiting():
            for pipeline in waiting:
                self.run(pipeline)


@pytest.fixture
def workers(db, settings):
    """With a store of files that is as empty as the database."""
    for folder in ("objects", "scratch"):
        shutil.rmtree(f"{settings.data_dir}/{folder}", ignore_errors=True)
    return Workers(db, settings)


class Server:
    """Answers each path as it was told to; notes what was asked."""

    def __init__(self):
        self.answers, self.asked = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.path, dict(self.headers)))
                outer.answers[self.path](self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def says(self, path, body=b"", status=200, **headers):
        def answer(handler):
            handler.send_response(status)
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            for name, value in {"Content-Length": str(len(body)), **given}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer
        return f"{self.url}{path}"

    def streams(self, path, pieces):
        """Without a length, and without an end where `pieces` has none."""

        def answer(handler):
            handler.send_response(200)
            handler.end_headers()
            try:
                for piece in pieces():
                    handler.wfile.write(piece)
            except OSError:
                pass

        self.answers[path] = answer
        return f"{self.url}{path}"


@pytest.fixture(scope="session")
def server():
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """(settings of the bucket, the folder it lies in): a server that speaks S3, rclone's, over a real folder."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "specs").mkdir()
    program = Path(sys.executable).parent / "rclone"
    key, secret, port = secrets.token_hex(8), secrets.token_hex(16), free_port()
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{key},{secret}",
               "--vfs-cache-mode", "off", "--config", "", str(folder)]  # fmt: skip
    given = {
        "s3_bucket": "specs",
        "s3_endpoint_url": f"http://127.0.0.1:{port}",
        "s3_access_key_id": key,
        "s3_secret_access_key": secret,
    }
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        yield given, folder / "specs"
        process.terminate()


@pytest.fixture
def in_s3(settings, s3):
    return settings.model_copy(update=s3[0])


@pytest.fixture
def bucket(in_s3):
    bucket = object_stores.create_object_store(in_s3)
    deadline = time.monotonic() + 60
    while True:
        try:
            bucket.delete(["anything"])
            return bucket
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
def keep(bucket):
    def keep(key, content):
        with scratch_file(bucket) as file:
            file.write_bytes(content)
            bucket.put(key, file)

    return keep
