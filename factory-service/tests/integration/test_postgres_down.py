"""While Postgres is down, cached responses are served and marked as possibly stale; other requests return 503."""

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

pytestmark = pytest.mark.fault

SPROCKET = "/api/sprocket/create/5/6/4/7/"


@pytest.fixture(scope="module")
def server():
    server = TemporaryPostgres()
    server.start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def replica(server, start_redis, start_web):
    return start_web(testing.migrated(Settings, "factory", server.url, redis_url=start_redis().url))


@pytest.fixture
def session():
    with requests.Session() as session:
        yield session


def get(session, replica, path, **options):
    return session.get(f"{replica.base}{path}", timeout=40, **options)


@pytest.fixture
def cached_path(replica, session, eventually):
    """The path of a sprocket whose response is cached."""
    assert session.post(f"{replica.base}{SPROCKET}", timeout=30).status_code == 201
    eventually(lambda: is_cached_after_get(session, replica))
    return "/api/sprocket/1"


def is_cached_after_get(session, replica):
    get(session, replica, "/api/sprocket/1")
    return len(redis.Redis.from_url(replica.settings.redis_url).keys("quintet:factory:sprocket:1")) == 1


def send_signal(server, number):
    """Send a signal to all processes of the server."""
    postmaster = psutil.Process(server.process.pid)
    for process in [postmaster, *postmaster.children(recursive=True)]:
        os.kill(process.pid, number)


def is_possibly_stale(response):
    headers = response.headers
    return response.ok and headers.get("Warning", "").startswith("110") and int(headers["Age"]) >= 0


def is_current(response):
    return response.ok and "Warning" not in response.headers and "Age" not in response.headers


def test_cached_responses_are_served_while_postgres_is_down(server, replica, session, cached_path, eventually):
    current = get(session, replica, cached_path)
    assert is_current(current)
    server.stop(signal.SIGKILL)
    try:
        eventually(lambda: is_possibly_stale(get(session, replica, cached_path)))
        stale = get(session, replica, f"{cached_path}/")
        assert (stale.json(), stale.headers["ETag"]) == (current.json(), current.headers["ETag"])
        not_modified = get(session, replica, cached_path, headers={"If-None-Match": current.headers["ETag"]})
        assert not_modified.status_code == 304 and not_modified.headers["Warning"].startswith("110")
        uncached = get(session, replica, "/api/sprockets?limit=7")
        assert uncached.status_code == 503 and uncached.headers["Retry-After"]
        assert session.post(f"{replica.base}{SPROCKET}", timeout=40).status_code == 503
        health = get(session, replica, "/healthcheck")
        assert (health.status_code, health.json()["status"]) == (200, "DEGRADED")
        assert health.json()["dependencies"]["postgres"]["status"] == "DOWN"
        assert health.json()["dependencies"]["redis"]["status"] == "OK"
    finally:
        server.start()
    eventually(lambda: is_current(get(session, replica, cached_path)))
    assert session.patch(f"{replica.base}{cached_path}", json={"teeth": 9}, timeout=40).ok
    assert get(session, replica, cached_path).json()["sprocket"]["teeth"] == 9


def test_process_started_without_postgres_serves_cached_responses(
    server, replica, session, cached_path, start_web, eventually
):
    eventually(lambda: is_current(get(session, replica, cached_path)))
    server.stop(signal.SIGKILL)
    try:
        new_replica = start_web(replica.settings)
        assert is_possibly_stale(get(session, new_replica, cached_path))
    finally:
        server.start()
    eventually(lambda: is_current(get(session, new_replica, cached_path)))


def test_suspended_postgres_does_not_delay_cached_responses(server, replica, session, cached_path, eventually):
    send_signal(server, signal.SIGSTOP)
    try:
        eventually(lambda: is_possibly_stale(get(session, replica, cached_path)))
        # A request that has to wait for Postgres does not block the others.
        waiting = threading.Thread(target=lambda: requests.get(f"{replica.base}/api/sprockets?limit=9", timeout=60))
        waiting.start()
        for _ in range(20):
            assert is_possibly_stale(get(session, replica, cached_path))
    finally:
        send_signal(server, signal.SIGCONT)
    waiting.join()
    eventually(lambda: is_current(get(session, replica, cached_path)))


def test_status_is_degraded_without_redis_and_down_without_both(
    server, replica, session, start_redis, start_web, eventually
):
    own_redis = start_redis()
    web = start_web(replica.settings.model_copy(update={"redis_url": own_redis.url}))
    own_redis.kill()

    def health():
        response = get(session, web, "/healthcheck")
        return response.status_code, response.json()["status"]

    eventually(lambda: health() == (200, "DEGRADED"))
    assert session.post(f"{web.base}{SPROCKET}", timeout=40).status_code == 201
    server.stop(signal.SIGKILL)
    try:
        eventually(lambda: health() == (503, "DOWN"))
    finally:
        server.start()
        own_redis.start()
    eventually(lambda: health()[1] == "DEGRADED")  # RabbitMQ is not OK, because no worker is running.
