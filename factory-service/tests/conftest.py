import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import redis as redis_client
import requests

from chassis.messaging.message_processor import Delivery, JobContext
from factory_service import handlers
from factory_service.app import create_app
from factory_service.settings import Settings
from quintet_local import binaries
from quintet_testing import plugin as testing
from quintet_testing.postgres import free_port
from quintet_testing.waiting import eventually


class ThrowawayRedis:
    """Real, on a socket of its own; what it holds is gone with it."""

    def __init__(self, *more):
        self.folder = Path(tempfile.mkdtemp(prefix="quintet-test-redis-"))
        self.url = f"unix://{self.folder}/redis.sock"
        self._more = more
        self.start()

    def start(self):
        options = ["--port", "0", "--unixsocket", f"{self.folder}/redis.sock", "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen(
            [str(binaries.valkey()), *options, *self._more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(self.answers)

    def answers(self):
        try:
            return self.client().ping()
        except redis_client.RedisError:
            return False

    def client(self):
        return redis_client.Redis.from_url(self.url, socket_timeout=5)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Served:
    """The web process as it runs: gunicorn with greenlets, over a real socket."""

    def __init__(self, settings, **more):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        given = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url or "", "LOG_LEVEL": "error"}
        given |= {"BIND": f"127.0.0.1:{self.port}", "WEB_CONCURRENCY": "2", **more}
        self.process = subprocess.Popen([sys.executable, "-m", "factory_service", "web"], env={**os.environ, **given})
        eventually(self.answers)

    def answers(self):
        try:
            return requests.get(f"{self.base}/livez", timeout=2).ok
        except requests.RequestException:
            return False

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=40)


@pytest.fixture
def served():
    """Call it with settings for a gunicorn of two processes."""
    started = []

    def serve(settings, **more):
        started.append(Served(settings, **more))
        return started[-1]

    yield serve
    for process in started:
        process.end()


@pytest.fixture(scope="session")
def throwaway_redis():
    """Call it with options for another one."""
    made = []

    def make(*options):
        made.append(ThrowawayRedis(*options))
        return made[-1]

    yield make
    for server in made:
        server.remove()


@pytest.fixture(scope="session")
def redis(throwaway_redis):
    return throwaway_redis()


@pytest.fixture(scope="session")
def settings(postgres_url, redis):
    # A busy machine is no Redis that is away.
    return testing.migrated(Settings, "factory", postgres_url, redis_url=redis.url, redis_timeout_seconds=5)


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)


@pytest.fixture(scope="session")
def plain_app(settings):
    """Without a Redis: every answer comes from Postgres."""
    return create_app(settings.model_copy(update={"redis_url": None}))


@pytest.fixture
def another(settings, db):
    """A second replica."""
    return create_app(settings)


@pytest.fixture
def work(db, settings):
    """Does what waits in the outbox for this service's own worker, in the order that `order` makes of it."""

    def do(order=list):
        with db.transaction() as tx:
            rows = tx.rows("DELETE FROM outbox WHERE exchange = '' RETURNING id, message_id::text, routing_key, body")
        for _, message_id, queue, body in order(sorted(rows)):
            deliver(db, settings, queue, message_id, body)
        return len(rows)

    return do


def deliver(db, settings, queue, message_id, body):
    import threading

    from chassis.strictjson import loads

    delivery = Delivery(queue, message_id, queue, "factory", "request-1", {}, loads(body.encode()))
    context = JobContext(db, settings, threading.Event())
    handlers.HANDLERS[queue].handler(context, delivery)


@pytest.fixture(scope="session")
def delivered(settings):
    """Call it with (db, queue, message id, body as text)."""
    return lambda db, queue, message_id, body: deliver(db, settings, queue, message_id, body)


@pytest.fixture
def a_factory(client):
    """Makes one of so many points, a minute apart, and gives its id."""

    def make(points=20, name="Detroit", actual=lambda n: 30 + n % 5, goal=lambda n: 32 - n % 4):
        chart = {
            "sprocket_production_actual": [actual(n) for n in range(points)],
            "sprocket_production_goal": [goal(n) for n in range(points)],
            "time": [1611194818 + 60 * n for n in range(points)],
        }
        made = client.post("/api/factories", json={"name": name, "chart_data": chart})
        assert made.status_code == 201, made.text
        return made.json["id"]

    return make


@pytest.fixture
def a_sprocket(client):
    def make(teeth=5, pitch_diameter=6, outside_diameter=7, pitch=1):
        made = client.post(f"/api/sprocket/create/{teeth}/{pitch_diameter}/{outside_diameter}/{pitch}/")
        assert made.status_code == 201, made.text
        return made.json["sprocket"]["id"]

    return make
