"""Documents are read from a read replica if it has the current version; a lagging replica causes no stale response."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from chassis import db as postgres
from chassis.errors import Unavailable
from factory_service.app import create_app
from factory_service.handlers import gauges
from factory_service.settings import Settings
from factory_service.store import replica as replica_store
from quintet_local import binaries, postgres_user
from quintet_testing import plugin as testing
from quintet_testing.postgres import TemporaryPostgres, free_port


class ReadReplica:
    """A streaming replica of a primary."""

    def __init__(self, primary):
        prefix = postgres_user.command_prefix()
        self.folder = Path(tempfile.mkdtemp(prefix="quintet-test-replica-"))
        self.port = free_port()
        backup = [str(binaries.postgres("pg_basebackup")), "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        subprocess.run([*prefix, *backup, "-d", primary.url, "-D", str(self.folder / "data")], check=True)
        # Postgres requires a replica to allow at least as many connections as its primary.
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 200,
        }
        command = [str(binaries.postgres("postgres")), "-D", str(self.folder / "data")]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen([*prefix, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def url(self, primary_url, primary_port):
        """Return the URL of the same database on this replica."""
        return primary_url.replace(f":{primary_port}/", f":{self.port}/")

    def is_ready(self, url):
        try:
            postgres.connect(url, name="tests").close()
            return True
        except Unavailable:
            return False

    def execute_as_admin(self, primary, statement):
        connection = postgres.connect(self.url(primary.url, primary._port), name="tests", autocommit=True)
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def primary():
    server = TemporaryPostgres()
    server.start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def read_replica(primary, eventually):
    server = ReadReplica(primary)
    try:
        eventually(lambda: server.is_ready(server.url(primary.url, primary._port)))
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["with Redis", "without Redis"])
def app_with_replica(request, primary, read_replica, redis, eventually):
    redis_url = redis.url if request.param == "with Redis" else None
    settings = testing.migrated(Settings, "factory", primary.url, redis_url=redis_url)
    url = read_replica.url(settings.database_url, primary._port)
    eventually(lambda: read_replica.is_ready(url))
    return create_app(settings.model_copy(update={"read_database_url": url}))


@pytest.fixture
def queried_databases(monkeypatch):
    """The names of the databases that document queries were sent to."""
    find, names = replica_store._find, []

    def recording_find(database, *args):
        names.append(database.name)
        return find(database, *args)

    monkeypatch.setattr(replica_store, "_find", recording_find)
    return names


def test_documents_are_read_from_an_up_to_date_replica(app_with_replica, queried_databases, eventually, redis):
    client = app_with_replica.test_client()
    client.post("/api/factories", json={"name": "X"})
    assert client.post("/api/sprocket/create/1/2/3/4").status_code == 201

    def is_read_from_replica():
        redis.client().flushall()
        queried_databases.clear()
        assert client.get("/api/sprocket/1").json["sprocket"]["teeth"] == 1
        return queried_databases == ["factory-replica"]

    eventually(is_read_from_replica)
    for path in ("/api/factory/1", "/api/factories", "/api/sprockets", "/api/factory/1/attainment"):
        queried_databases.clear()
        assert client.get(path).status_code == 200
        assert queried_databases == ["factory-replica"]
    assert client.get("/api/factory/7").status_code == 404


def test_responses_are_current_while_the_replica_lags(app_with_replica, primary, read_replica, redis):
    client = app_with_replica.test_client()
    client.post("/api/sprocket/create/1/2/3/4")
    first = client.post("/api/factories", json={"name": "First"}).json["id"]
    read_replica.execute_as_admin(primary, "SELECT pg_wal_replay_pause()")
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
        read_replica.execute_as_admin(primary, "SELECT pg_wal_replay_resume()")


def test_documents_are_read_from_the_primary_when_the_replica_is_down(app_with_replica, read_replica, redis):
    client = app_with_replica.test_client()
    client.post("/api/sprocket/create/1/2/3/4")
    read_replica.kill()
    redis.client().flushall()
    assert client.get("/api/sprocket/1").json["sprocket"]["teeth"] == 1
    assert client.get("/api/sprockets").json["count"] == 1


def test_lag_is_zero_for_an_up_to_date_replica_and_grows_while_replay_is_paused(
    app_with_replica, primary, read_replica, eventually
):
    (gauge,) = gauges(app_with_replica.settings)

    def lag():
        with app_with_replica.database.transaction() as tx:
            return gauge.read(tx)

    client = app_with_replica.test_client()
    client.post("/api/sprocket/create/1/2/3/4")
    eventually(lambda: lag() == {"": 0})
    read_replica.execute_as_admin(primary, "SELECT pg_wal_replay_pause()")
    client.post("/api/sprocket/create/1/2/3/4")
    first = eventually(lambda: lag()[""])
    eventually(lambda: lag()[""] > first)
    read_replica.execute_as_admin(primary, "SELECT pg_wal_replay_resume()")
    eventually(lambda: lag() == {"": 0})
    read_replica.kill()
    assert lag() == {}


def test_lag_is_not_exported_without_a_replica(app):
    assert gauges(app.settings) == []
