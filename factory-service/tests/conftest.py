import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import redis as redis_client
import requests

from chassis.messaging.delivery import Delivery
from chassis.messaging.message_processor import JobContext
from chassis.strictjson import loads
from factory_service import handlers
from factory_service.app import create_app
from factory_service.settings import Settings
from factory_service.store import factories
from quintet_local import binaries
from quintet_testing import plugin as testing
from quintet_testing.postgres import free_port
from quintet_testing.waiting import eventually


class TemporaryRedis:
    """A real Redis server on a dedicated Unix socket; `remove` also deletes its data."""

    def __init__(self, *options):
        self.folder = Path(tempfile.mkdtemp(prefix="quintet-test-redis-"))
        self.url = f"unix://{self.folder}/redis.sock"
        self._options = options
        self.start()

    def start(self):
        options = ["--port", "0", "--unixsocket", f"{self.folder}/redis.sock", "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen(
            [str(binaries.valkey()), *options, *self._options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(self.is_ready)

    def is_ready(self):
        try:
            return self.client().ping()
        except redis_client.RedisError:
            return False

    def client(self):
        return redis_client.Redis.from_url(self.url, socket_timeout=5)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def suspend(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class WebServer:
    """The web process as in production: gunicorn with greenlets, on a real socket."""

    def __init__(self, settings, **environment):
        self.settings = settings
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        variables = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url or "", "LOG_LEVEL": "error"}
        variables |= {"BIND": f"127.0.0.1:{self.port}", "WEB_CONCURRENCY": "2", **environment}
        command = [sys.executable, "-m", "factory_service", "web"]
        self.process = subprocess.Popen(command, env={**os.environ, **variables})
        eventually(self.is_ready)

    def is_ready(self):
        try:
            return requests.get(f"{self.base}/livez", timeout=5).ok
        except requests.RequestException:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


@pytest.fixture
def start_web():
    """Return a function that starts a web server with two worker processes."""
    servers = []

    def start(settings, **environment):
        servers.append(WebServer(settings, **environment))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def start_redis():
    """Return a function that starts a Redis server with the command-line options passed to it."""
    servers = []

    def start(*options):
        servers.append(TemporaryRedis(*options))
        return servers[-1]

    yield start
    for server in servers:
        server.remove()


@pytest.fixture(scope="session")
def redis(start_redis):
    return start_redis()


@pytest.fixture(scope="session")
def settings(postgres_url, redis):
    # The long timeout keeps a busy machine from making Redis appear unavailable.
    return testing.migrated(Settings, "factory", postgres_url, redis_url=redis.url, redis_timeout_seconds=5)


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)


@pytest.fixture(scope="session")
def app_without_redis(settings):
    return create_app(settings.model_copy(update={"redis_url": None}))


@pytest.fixture
def second_app(settings, db):
    """A second instance of the service, with the same Postgres and Redis."""
    return create_app(settings)


@pytest.fixture
def run_jobs(db, settings):
    """Return a function that processes the jobs in the outbox and returns their number; `order` rearranges them."""

    def run(order=list):
        with db.transaction() as tx:
            rows = tx.rows("DELETE FROM outbox WHERE exchange = '' RETURNING id, message_id::text, routing_key, body")
        for _, message_id, queue, body in order(sorted(rows)):
            deliver(db, settings, queue, message_id, body)
        return len(rows)

    return run


def deliver(db, settings, queue, message_id, body):
    delivery = Delivery(queue, message_id, queue, "factory", "request-1", {}, loads(body.encode()))
    context = JobContext(db, settings, threading.Event())
    handlers.HANDLERS[queue].handler(context, delivery)


@pytest.fixture(scope="session")
def deliver_message(settings):
    """Return a function that processes a message: (db, queue, message ID, body as text)."""
    return lambda db, queue, message_id, body: deliver(db, settings, queue, message_id, body)


@pytest.fixture
def a_factory(client):
    """Return a function that creates a factory with points one minute apart and returns its ID."""

    def create(points=20, name="Detroit", actual=lambda n: 30 + n % 5, goal=lambda n: 32 - n % 4):
        chart = {
            "sprocket_production_actual": [actual(n) for n in range(points)],
            "sprocket_production_goal": [goal(n) for n in range(points)],
            "time": [1611194818 + 60 * n for n in range(points)],
        }
        response = client.post("/api/factories", json={"name": name, "chart_data": chart})
        assert response.status_code == 201, response.text
        return response.json["id"]

    return create


@pytest.fixture
def a_sprocket(client):
    """Return a function that creates a sprocket and returns its ID."""

    def create(teeth=5, pitch_diameter=6, outside_diameter=7, pitch=1):
        response = client.post(f"/api/sprocket/create/{teeth}/{pitch_diameter}/{outside_diameter}/{pitch}/")
        assert response.status_code == 201, response.text
        return response.json["sprocket"]["id"]

    return create


class CrashingDatabase:
    """Raises SystemExit instead of committing, after a number of successful transactions."""

    def __init__(self, database, transactions):
        self._database, self._remaining = database, transactions

    @contextlib.contextmanager
    def transaction(self):
        with self._database.transaction() as tx:
            yield tx
            if not self._remaining:
                raise SystemExit
            self._remaining -= 1


@pytest.fixture
def crashing_database():
    """Return a class whose instances wrap a database and end the process, as it seems, before a commit."""
    return CrashingDatabase


@pytest.fixture
def insert_series(db):
    """Return a function that inserts a series of points, `step` seconds apart, which begins at `time`."""

    def insert(id_, count, step, time=1611194818):
        with db.transaction() as tx:
            tx.run(
                """
                INSERT INTO points SELECT %(id)s, %(time)s + n * %(step)s, n %% 911, n %% 37 + 430, 1
                FROM generate_series(0, %(count)s - 1) AS n
                """,
                id=id_,
                time=time,
                step=step,
                count=count,
            )
            factories.add_to_point_count(tx, id_, count)

    return insert
