"""Slow responses and closed connections do not count as Postgres being down, so no response may be stale."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

from chassis.db import Database
from chassis.errors import Unavailable
from factory_service.app import create_app
from factory_service.cache import current_versions
from factory_service.cache.current_versions import CurrentVersions

pytestmark = pytest.mark.fault

STALL_SECONDS = 1.5


@pytest.fixture
def version_sessions(db):
    """Return functions that suspend and resume the Postgres sessions that read the versions."""
    suspended = []

    def suspend():
        with db.transaction() as tx:
            sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %(name)s"
            suspended.extend(pid for (pid,) in tx.rows(sql, name="factory-versions"))
        for pid in suspended:
            os.kill(pid, signal.SIGSTOP)

    def resume():
        while suspended:
            os.kill(suspended.pop(), signal.SIGCONT)

    yield suspend, resume
    resume()


@pytest.fixture
def client_without_redis(settings, redis):
    """A client of a replica that cannot reach Redis."""
    return create_app(settings.model_copy(update={"redis_url": f"unix://{redis.folder}/nowhere.sock"})).test_client()


@pytest.fixture
def own_versions(settings, db):
    database = Database(settings.database_url, name="factory-versions", size=1, wait_seconds=3)
    yield CurrentVersions(database)
    database.close()


def test_request_during_the_end_of_the_process_can_be_repeated(own_versions):
    # As the interpreter does at its end, while greenlets may still run.
    own_versions._executor.shutdown()
    with pytest.raises(Unavailable):
        own_versions.find(["sprocket 1"])


def test_reader_waits_for_slow_postgres(client, version_sessions, client_without_redis, a_sprocket):
    suspend, resume = version_sessions
    path = f"/api/sprocket/{a_sprocket(1)}"
    assert client.get(path).json["sprocket"]["teeth"] == 1
    with ThreadPoolExecutor(1) as pool:
        suspend()
        reading = pool.submit(client.get, path)
        with pytest.raises(TimeoutError):
            reading.result(STALL_SECONDS)
        resume()
        assert client_without_redis.patch(path, json={"teeth": 2}).status_code == 200
        assert reading.result().json["sprocket"]["teeth"] in {1, 2}
        response = client.get(path)
    assert response.json["sprocket"]["teeth"] == 2
    assert "Warning" not in response.headers


def test_write_that_does_not_reach_redis_is_visible_to_readers_of_redis(client, client_without_redis, a_sprocket):
    path = f"/api/sprocket/{a_sprocket(1)}"
    for teeth in range(2, 10):
        assert client_without_redis.patch(path, json={"teeth": teeth}).status_code == 200
        assert client.get(path).json["sprocket"]["teeth"] == teeth


def test_only_the_first_reader_waits_for_unresponsive_postgres_until_it_responds_again(
    own_versions, version_sessions, monkeypatch, eventually
):
    suspend, resume = version_sessions
    monkeypatch.setattr(current_versions, "_MAX_POLLS", 10)
    before = own_versions.find({"factories"})
    suspend()
    for _ in range(5):
        with pytest.raises(Unavailable):
            own_versions.find({"factories"})
    assert own_versions._is_unresponsive
    resume()
    eventually(lambda: not own_versions._is_unresponsive)
    assert own_versions.find({"factories"}) == before


def test_time_during_which_the_process_is_suspended_does_not_count(settings, start_web, version_sessions, a_sprocket):
    suspend, resume = version_sessions
    web = start_web(settings, WEB_CONCURRENCY="1")
    (worker,) = psutil.Process(web.process.pid).children()
    url = f"{web.base}/api/sprocket/{a_sprocket(1)}"

    def read():
        """Return the number of teeth and whether the response may be stale."""
        response = requests.get(url, timeout=60)
        return response.json()["sprocket"]["teeth"], "Warning" in response.headers

    assert read() == (1, False)
    suspend()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        with pytest.raises(TimeoutError):
            reading.result(STALL_SECONDS)
        worker.suspend()
        resume()
        time.sleep(current_versions._MAX_POLLS * current_versions._POLL_SECONDS)
        worker.resume()
        assert reading.result() == (1, False)


def test_closed_connection_does_not_count_as_postgres_down(own_versions, db):
    for _ in range(5):
        assert own_versions.find({"factories"}).keys() == {"factories", "sprockets"}
        with db.transaction() as tx:
            sql = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE application_name = %(name)s"
            assert (True,) in tx.rows(sql, name="factory-versions")
