"""A Postgres that is slow, or that closed a connection, is not down: no reader gets a response that may be stale."""

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
from factory_service.cache import versions
from factory_service.cache.versions import CurrentVersions

STALL_SECONDS = 1.5


@pytest.fixture
def stalled(db):
    """Stops the sessions of Postgres that state the versions; they continue when it is called."""
    stopped = []

    def stop():
        with db.transaction() as tx:
            sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %(name)s"
            stopped.extend(pid for (pid,) in tx.rows(sql, name="factory-versions"))
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)

    def resume():
        while stopped:
            os.kill(stopped.pop(), signal.SIGCONT)

    yield stop, resume
    resume()


@pytest.fixture
def cut_off(settings, redis):
    """A replica that does not reach Redis."""
    return create_app(settings.model_copy(update={"redis_url": f"unix://{redis.folder}/nowhere.sock"})).test_client()


@pytest.fixture
def own_versions(settings, db):
    database = Database(settings.database_url, name="factory-versions", size=1, wait_seconds=3)
    yield CurrentVersions(database)
    database.close()


def test_a_reader_waits_for_a_postgres_that_is_slow(client, stalled, cut_off, a_sprocket):
    stop, resume = stalled
    path = f"/api/sprocket/{a_sprocket(1)}"
    assert client.get(path).json["sprocket"]["teeth"] == 1
    with ThreadPoolExecutor(1) as pool:
        stop()
        reading = pool.submit(client.get, path)
        with pytest.raises(TimeoutError):
            reading.result(STALL_SECONDS)
        resume()
        assert cut_off.patch(path, json={"teeth": 2}).status_code == 200
        assert reading.result().json["sprocket"]["teeth"] in {1, 2}
        answer = client.get(path)
    assert answer.json["sprocket"]["teeth"] == 2
    assert "Warning" not in answer.headers


def test_a_write_that_does_not_reach_redis_is_seen_by_those_that_read_there(client, cut_off, a_sprocket):
    path = f"/api/sprocket/{a_sprocket(1)}"
    for teeth in range(2, 10):
        assert cut_off.patch(path, json={"teeth": teeth}).status_code == 200
        assert client.get(path).json["sprocket"]["teeth"] == teeth


def test_a_silent_postgres_is_waited_for_once_and_believed_as_soon_as_it_responds(
    own_versions, stalled, monkeypatch, eventually
):
    stop, resume = stalled
    monkeypatch.setattr(versions, "_LOOKS", 10)
    before = own_versions.find({"factories"})
    stop()
    for _ in range(5):
        with pytest.raises(Unavailable):
            own_versions.find({"factories"})
    assert own_versions._is_silent
    resume()
    eventually(lambda: not own_versions._is_silent)
    assert own_versions.find({"factories"}) == before


def test_a_process_that_was_suspended_does_not_count_that_time(settings, served, stalled, a_sprocket):
    stop, resume = stalled
    web = served(settings, WEB_CONCURRENCY="1")
    (worker,) = psutil.Process(web.process.pid).children()
    url = f"{web.base}/api/sprocket/{a_sprocket(1)}"
    assert requests.get(url, timeout=60).ok
    stop()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(requests.get, url, timeout=60)
        with pytest.raises(TimeoutError):
            reading.result(STALL_SECONDS)
        worker.suspend()
        resume()
        time.sleep(versions._LOOKS * versions._LOOK_SECONDS)
        worker.resume()
        answer = reading.result()
    assert answer.json()["sprocket"]["teeth"] == 1
    assert "Warning" not in answer.headers


def test_a_connection_that_broke_is_not_a_postgres_that_is_down(own_versions, db):
    for _ in range(5):
        assert own_versions.find({"factories"}).keys() == {"factories", "sprockets"}
        with db.transaction() as tx:
            sql = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE application_name = %(name)s"
            assert (True,) in tx.rows(sql, name="factory-versions")
