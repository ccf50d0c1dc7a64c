"""Reads go to a follower that has come as far as the leader says; one that lags fills nothing with what is old."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from chassis import db as postgres
from chassis.errors import Unavailable
from factory_service.app import create_app
from factory_service.settings import Settings
from factory_service.store import replica
from quintet_local import binaries, postgres_user
from quintet_testing import plugin as testing
from quintet_testing.postgres import TemporaryPostgres, free_port


class Follower:
    """A streaming replica of a leader."""

    def __init__(self, leader):
        prefix = postgres_user.command_prefix()
        self.folder = Path(tempfile.mkdtemp(prefix="quintet-test-follower-"))
        self.port = free_port()
        copy = [str(binaries.postgres("pg_basebackup")), "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        subprocess.run([*prefix, *copy, "-d", leader.url, "-D", str(self.folder / "data")], check=True)
        # As many connections as the leader allows, or it refuses to follow.
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 200,
        }
        command = [str(binaries.postgres("postgres")), "-D", str(self.folder / "data")]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen([*prefix, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def url_of(self, url, port):
        return url.replace(f":{port}/", f":{self.port}/")

    def answers(self, url):
        try:
            postgres.connect(url, name="tests").close()
            return True
        except Unavailable:
            return False

    def administer(self, leader, statement):
        connection = postgres.connect(self.url_of(leader.url, leader._port), name="tests", autocommit=True)
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()

    def remove(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def leader():
    server = TemporaryPostgres()
    server.start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def follower(leader, eventually):
    made = Follower(leader)
    try:
        eventually(lambda: made.answers(made.url_of(leader.url, leader._port)))
        yield made
    finally:
        made.remove()


@pytest.fixture(params=["with Redis", "without Redis"])
def app_on_both(request, leader, follower, redis, eventually):
    redis_url = redis.url if request.param == "with Redis" else None
    settings = testing.migrated(Settings, "factory", leader.url, redis_url=redis_url)
    url = follower.url_of(settings.database_url, leader._port)
    eventually(lambda: follower.answers(url))
    return create_app(settings.model_copy(update={"read_database_url": url}))


@pytest.fixture
def asked_of(monkeypatch):
    """Which of the two the documents were read from."""
    find, seen = replica._find, []

    def noted(database, *more):
        seen.append(database.name)
        return find(database, *more)

    monkeypatch.setattr(replica, "_find", noted)
    return seen


def test_a_follower_that_has_come_as_far_is_read(app_on_both, asked_of, leader, follower, eventually, redis):
    client = app_on_both.test_client()
    client.post("/api/factories", json={"name": "X"})
    assert client.post("/api/sprocket/create/1/2/3/4").status_code == 201

    def from_follower():
        redis.client().flushall()
        asked_of.clear()
        assert client.get("/api/sprocket/1").json["sprocket"]["teeth"] == 1
        return asked_of == ["factory-replica"]

    eventually(from_follower)
    for path in ("/api/factory/1", "/api/factories", "/api/sprockets", "/api/factory/1/attainment"):
        asked_of.clear()
        assert client.get(path).status_code == 200
        assert asked_of == ["factory-replica"]
    assert client.get("/api/factory/7").status_code == 404


def test_a_follower_that_lags_is_passed_over(app_on_both, asked_of, leader, follower, eventually, redis):
    client = app_on_both.test_client()
    client.post("/api/sprocket/create/1/2/3/4")
    first = client.post("/api/factories", json={"name": "First"}).json["id"]
    follower.administer(leader, "SELECT pg_wal_replay_pause()")
    try:
        for teeth in range(2, 6):
            assert client.patch("/api/sprocket/1", json={"teeth": teeth}).status_code == 200
            redis.client().flushall()
            for _ in range(3):
                assert client.get("/api/sprocket/1").json["sprocket"]["teeth"] == teeth
                assert client.get("/api/sprockets").json["sprockets"][0]["teeth"] == teeth
        created = client.post("/api/sprocket/create/7/7/7/7").json["sprocket"]["id"]
        redis.client().flushall()
        assert client.get(f"/api/sprocket/{created}").status_code == 200
        assert client.get("/api/sprockets").json["count"] == 2
        assert client.delete("/api/sprocket/1").status_code == 204
        redis.client().flushall()
        assert client.get("/api/sprocket/1").status_code == 404
        assert client.get("/api/sprockets").json["count"] == 1
        second = client.post("/api/factories", json={"name": "Second"}).json["id"]
        assert client.delete(f"/api/factory/{first}").status_code == 204
        redis.client().flushall()
        assert client.get(f"/api/factory/{second}").json["name"] == "Second"
        assert client.get(f"/api/factory/{first}").status_code == 404
    finally:
        follower.administer(leader, "SELECT pg_wal_replay_resume()")


def test_without_its_follower_it_reads_from_the_leader(app_on_both, follower, redis):
    client = app_on_both.test_client()
    client.post("/api/sprocket/create/1/2/3/4")
    follower.process.kill()
    follower.process.wait()
    redis.client().flushall()
    assert client.get("/api/sprocket/1").json["sprocket"]["teeth"] == 1
    assert client.get("/api/sprockets").json["count"] == 1
