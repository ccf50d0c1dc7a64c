"""Without Postgres what Redis holds is still served, and marked; nothing else is."""

import os
import signal
import threading

import psutil
import pytest
import redis
import requests

from factory_service.settings import Settings
from quintet_testing import plugin as testing
from quintet_testing.postgres import TemporaryPostgres

SPROCKET = "/api/sprocket/create/5/6/4/7/"


@pytest.fixture(scope="module")
def server():
    started = TemporaryPostgres()
    started.start()
    yield started
    started.stop()
    started.remove()


@pytest.fixture
def replica(server, throwaway_redis, served):
    settings = testing.migrated(Settings, "factory", server.url, redis_url=throwaway_redis().url)
    replica = served(settings)
    replica.settings = settings
    return replica


@pytest.fixture
def session():
    with requests.Session() as session:
        yield session


def asked(session, replica, path, **more):
    return session.get(f"{replica.base}{path}", timeout=40, **more)


@pytest.fixture
def warm(replica, session, eventually):
    """One sprocket that Redis has, and one answer that it does not have."""
    assert session.post(f"{replica.base}{SPROCKET}", timeout=30).status_code == 201
    eventually(lambda: is_kept(session, replica))
    return "/api/sprocket/1"


def is_kept(session, replica):
    """Asked, and in Redis from then on."""
    asked(session, replica, "/api/sprocket/1")
    return len(redis.Redis.from_url(replica.settings.redis_url).keys("quintet:factory:sprocket:1")) == 1


def freeze(server, number):
    master = psutil.Process(server.process.pid)
    for process in [master, *master.children(recursive=True)]:
        os.kill(process.pid, number)


def is_old(answer):
    return answer.ok and answer.headers.get("Warning", "").startswith("110") and int(answer.headers["Age"]) >= 0


def is_new(answer):
    return answer.ok and "Warning" not in answer.headers and "Age" not in answer.headers


def test_what_redis_holds_is_served_while_postgres_is_down(server, replica, session, warm, eventually):
    fresh = asked(session, replica, warm)
    assert is_new(fresh)
    server.stop(signal.SIGKILL)
    try:
        eventually(lambda: is_old(asked(session, replica, warm)))
        old = asked(session, replica, f"{warm}/")
        assert (old.json(), old.headers["ETag"]) == (fresh.json(), fresh.headers["ETag"])
        matching = asked(session, replica, warm, headers={"If-None-Match": fresh.headers["ETag"]})
        assert matching.status_code == 304 and matching.headers["Warning"].startswith("110")
        missing = asked(session, replica, "/api/sprockets?limit=7")
        assert missing.status_code == 503 and missing.headers["Retry-After"]
        assert session.post(f"{replica.base}{SPROCKET}", timeout=40).status_code == 503
        health = asked(session, replica, "/healthcheck")
        assert (health.status_code, health.json()["status"]) == (200, "DEGRADED")
        assert health.json()["dependencies"]["postgres"]["status"] == "DOWN"
        assert health.json()["dependencies"]["redis"]["status"] == "OK"
    finally:
        server.start()
    eventually(lambda: is_new(asked(session, replica, warm)))
    assert session.patch(f"{replica.base}{warm}", json={"teeth": 9}, timeout=40).ok
    assert asked(session, replica, warm).json()["sprocket"]["teeth"] == 9


def test_a_process_that_starts_without_postgres_serves_what_redis_holds(
    server, replica, session, warm, served, eventually
):
    eventually(lambda: is_new(asked(session, replica, warm)))
    server.stop(signal.SIGKILL)
    try:
        newcomer = served(replica.settings)
        assert is_old(asked(session, newcomer, warm))
    finally:
        server.start()
    eventually(lambda: is_new(asked(session, newcomer, warm)))


def test_a_frozen_postgres_holds_up_nobody_whose_answer_is_there(server, replica, session, warm, eventually):
    freeze(server, signal.SIGSTOP)
    try:
        eventually(lambda: is_old(asked(session, replica, warm)))
        # Somebody who has to wait for Postgres is in nobody's way.
        waiting = threading.Thread(target=lambda: requests.get(f"{replica.base}/api/sprockets?limit=9", timeout=60))
        waiting.start()
        for _ in range(20):
            assert is_old(asked(session, replica, warm))
    finally:
        freeze(server, signal.SIGCONT)
    waiting.join()
    eventually(lambda: is_new(asked(session, replica, warm)))


def test_redis_down_is_degraded_and_both_down_is_down(server, replica, session, throwaway_redis, served, eventually):
    cache = throwaway_redis()
    own = served(replica.settings.model_copy(update={"redis_url": cache.url}))
    cache.kill()

    def health():
        answer = asked(session, own, "/healthcheck")
        return answer.status_code, answer.json()["status"]

    eventually(lambda: health() == (200, "DEGRADED"))
    assert session.post(f"{own.base}{SPROCKET}", timeout=40).status_code == 201
    server.stop(signal.SIGKILL)
    try:
        eventually(lambda: health() == (503, "DOWN"))
    finally:
        server.start()
        cache.start()
    eventually(lambda: health()[1] == "DEGRADED")  # no worker runs here
