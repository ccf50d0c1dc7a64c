"""A Postgres that is slow, or that closed a connection, is not away: nobody gets what may be old."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from chassis.db import Database
from factory_service.app import create_app
from factory_service.cache import trust
from factory_service.cache.connection import Redis
from factory_service.cache.trust import Trust

# Longer, too, than the second after which readers once took Postgres for away.
LONGER_THAN_A_LEASE = 1.5


@pytest.fixture
def held_up(db):
    """Those who ask Postgres whether Redis may be believed get no answer until it is called."""
    frozen = []

    def freeze():
        with db.transaction() as tx:
            sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %(name)s"
            frozen.extend(pid for (pid,) in tx.rows(sql, name="factory-trust"))
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)

    def thaw():
        while frozen:
            os.kill(frozen.pop(), signal.SIGCONT)

    yield freeze, thaw
    thaw()


@pytest.fixture
def cut_off(settings, redis):
    """A replica that does not reach Redis."""
    return create_app(settings.model_copy(update={"redis_url": f"unix://{redis.folder}/nowhere.sock"})).test_client()


@pytest.fixture
def own_trust(app):
    return app.extensions["factory"].answers._trust


def test_who_does_not_hear_from_postgres_waits_for_it(
    client, believed, held_up, cut_off, own_trust, a_sprocket, eventually
):
    freeze, thaw = held_up
    id_ = a_sprocket(1)
    path = f"/api/sprocket/{id_}"
    believed()
    assert client.get(path).json["sprocket"]["teeth"] == 1
    freeze()
    eventually(lambda: trust.now() > own_trust._until)
    assert cut_off.patch(path, json={"teeth": 2}).status_code == 200
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(client.get, path)
        with pytest.raises(TimeoutError):
            reading.result(LONGER_THAN_A_LEASE)
        thaw()
        answer = reading.result()
    assert answer.json["sprocket"]["teeth"] == 2
    assert "Warning" not in answer.headers


def test_a_process_that_was_held_up_does_not_count_that(client, believed, held_up, own_trust, monkeypatch, eventually):
    freeze, thaw = held_up
    believed()
    freeze()
    eventually(lambda: trust.now() > own_trust._until)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(own_trust.current)
        with pytest.raises(TimeoutError):
            reading.result(LONGER_THAN_A_LEASE)
        now = trust.now
        monkeypatch.setattr(trust, "now", lambda: now() + 3600)
        thaw()
        assert reading.result() == own_trust.state
    assert not own_trust.postgres_is_silent


def test_an_answer_that_took_longer_than_a_lease_is_good_for_who_waited(settings, db, redis, eventually, monkeypatch):
    own = Trust(Database(settings.database_url, name="factory-slow", size=1, wait_seconds=3), Redis(redis.url, 5))
    monkeypatch.setattr(trust, "LEASE_SECONDS", 0.0)
    for _ in range(3):
        assert own.current() == own.state
        assert own.state is not None and not own.postgres_is_silent


def test_a_connection_that_broke_is_no_postgres_that_is_away(settings, db, redis):
    own = Trust(Database(settings.database_url, name="factory-broken", size=1, wait_seconds=3), Redis(redis.url, 5))
    for _ in range(5):
        own._ask()
        assert not own.postgres_is_silent and own.current() is not None
        with db.transaction() as tx:
            sql = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE application_name = %(name)s"
            assert tx.rows(sql, name="factory-broken") == [(True,)]
