"""What is in Redis is what Postgres has, and asking costs Postgres nothing."""

import concurrent.futures
import time

import pytest

from factory_service.app import create_app
from factory_service.cache import entries
from factory_service.store.reading import Sources


@pytest.fixture
def queries(monkeypatch):
    """Which things were looked for in Postgres."""
    find, find_chart, seen = Sources.find, Sources.find_chart, []

    def noted(self, entity, *more, **options):
        seen.append(entity)
        return find(self, entity, *more, **options)

    def chart_noted(self, part, id_):
        seen.append(f"factory:{id_}")
        return find_chart(self, part, id_)

    monkeypatch.setattr(Sources, "find", noted)
    monkeypatch.setattr(Sources, "find_chart", chart_noted)
    return seen


@pytest.fixture
def another(settings, db):
    """A second replica."""
    app = create_app(settings)
    app.extensions["factory"].answers._trust._ask()
    return app


def keys(redis, pattern="*"):
    return [key.decode() for key in redis.client().scan_iter(f"quintet:factory:*{pattern}")]


def test_a_write_puts_the_new_answers_there(client, believed, redis, a_factory, a_sprocket):
    id_, sprocket = a_factory(3), a_sprocket()
    believed()
    (factory_key,) = keys(redis, f":factory:{id_}")
    assert set(redis.client().hkeys(factory_key)) >= {b"/", b"/chart-data", b"/production-actual", b"/production-goal",
                                                      b"/time"}  # fmt: skip
    client.patch(f"/api/sprocket/{sprocket}", json={"teeth": 77})
    (sprocket_key,) = keys(redis, f":sprocket:{sprocket}")
    assert b'"teeth":77' in redis.client().hget(sprocket_key, "/")
    (list_key,) = keys(redis, ":sprockets")
    assert b'"teeth":77' in redis.client().hget(list_key, "?100&0")


def test_what_redis_has_costs_postgres_nothing(client, believed, a_factory, settings, db):
    id_ = a_factory(5)
    paths = [
        f"/api/factory/{id_}{part}" for part in ("", "/chart-data", "/time", "/attainment", "/chart-data?points=6")
    ]
    paths += ["/api/factories", "/api/factories?limit=3"]
    first = [client.get(path) for path in paths]
    pool = client.application.database._pool
    lease, pool.lease = pool.lease, None
    try:
        again = [client.get(path) for path in paths]
        matches = [client.get(path, headers={"If-None-Match": one.headers["ETag"]}) for path, one in zip(paths, first)]  # noqa: B905
    finally:
        pool.lease = lease
    assert [one.data for one in again] == [one.data for one in first]
    assert [one.headers["ETag"] for one in again] == [one.headers["ETag"] for one in first]
    assert {(one.status_code, one.data) for one in matches} == {(304, b"")}


def test_another_replica_sees_each_write(client, another, believed, a_factory, a_sprocket, work):
    other = another.test_client()
    believed(another)
    id_, sprocket = a_factory(1), a_sprocket()
    for teeth in range(1, 20):
        client.patch(f"/api/sprocket/{sprocket}", json={"teeth": teeth})
        assert other.get(f"/api/sprocket/{sprocket}").json["sprocket"]["teeth"] == teeth
        assert other.get("/api/sprockets").json["sprockets"][-1]["teeth"] == teeth
    for place in range(1, 5):
        client.post(f"/api/factory/{id_}/production", json={"time": place, "actual": place, "goal": 0})
        work()
        assert other.get(f"/api/factory/{id_}/time").json["time"][:place] == list(range(1, place + 1))
        assert len(other.get("/api/factories").json["factories"][0]["factory"]["chart_data"]["time"]) == place + 1


def test_a_hundred_readers_of_a_cold_key_cost_one_query(
    app, another, client, believed, redis, a_factory, queries, monkeypatch
):
    # On a busy machine who looks for all is slow, not dead.
    monkeypatch.setattr(entries, "FILL_MILLISECONDS", 120_000)
    id_ = a_factory(1000)
    believed(), believed(another)
    redis.client().flushall()
    readers = [(app if number % 2 else another).test_client() for number in range(100)]
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda reader: reader.get(f"/api/factory/{id_}"), readers))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.data for answer in answers}) == 1
    assert queries == [f"factory:{id_}"]


def test_a_slow_reader_puts_nothing_old_over_what_is_new(app, client, believed, redis, a_sprocket, monkeypatch):
    """It looks into Postgres, a write comes and goes, and only then it puts; also where all was flushed meanwhile."""
    find = Sources.find
    for flush in (False, True):
        id_ = a_sprocket(1)
        redis.client().flushall()

        def slowly(self, entity, sql, params, *, locked, id_=id_, flush=flush):
            found = find(self, entity, sql, params, locked=locked)
            if not hasattr(slowly, "is_over"):
                slowly.is_over = True
                assert client.patch(f"/api/sprocket/{id_}", json={"teeth": 2}).status_code == 200
                if flush:
                    redis.client().flushall()
            return found

        monkeypatch.setattr(Sources, "find", slowly)
        assert app.test_client().get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1
        assert app.test_client().get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 2


def test_a_writer_that_dies_after_its_commit_leaves_nothing_old(app, db, client, believed, a_sprocket):
    from factory_service.operations import sprockets

    id_ = a_sprocket(1)
    assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1
    answers = app.extensions["factory"].answers
    with db.transaction() as tx:
        from datetime import UTC, datetime

        sprockets.update_sprocket(tx, id_, {"teeth": 2}, None, datetime.now(UTC), "r")
        answers.changing(tx, f"sprocket:{id_}", "sprockets")
        tx.after_commit.clear()
        # Readers that come while it is under way wait for its end, or see what was.
        reading = concurrent.futures.ThreadPoolExecutor(4)
        early = [reading.submit(app.test_client().get, f"/api/sprocket/{id_}") for _ in range(4)]
        time.sleep(0.05)
    assert all(answer.result().json["sprocket"]["teeth"] == 2 for answer in early)
    reading.shutdown()
    assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 2


def test_a_write_that_is_rolled_back_changes_nothing(app, db, client, believed, a_sprocket):
    from datetime import UTC, datetime

    from factory_service.operations import sprockets

    id_ = a_sprocket(1)
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        sprockets.update_sprocket(tx, id_, {"teeth": 2}, None, datetime.now(UTC), "r")
        change = app.extensions["factory"].answers.changing(tx, f"sprocket:{id_}", "sprockets")
        change.put(f"sprocket:{id_}", "/", ("2-x", "wrong"))
        raise ZeroDivisionError
    assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1


def test_ways_of_asking_for_one_thing_are_bounded(client, believed, redis, a_factory):
    id_ = a_factory(3)
    for first in range(300):
        assert client.get(f"/api/factory/{id_}/time?from={first}").status_code == 200
    (key,) = keys(redis, f":factory:{id_}")
    assert redis.client().hlen(key) <= 210


def test_what_is_too_large_is_answered_and_not_kept(client, believed, redis, a_factory, monkeypatch):
    id_ = a_factory(3)
    monkeypatch.setattr(entries, "LARGEST_BYTES", 100)
    redis.client().flushall()
    for _ in range(3):
        assert len(client.get(f"/api/factory/{id_}").json["factory"]["chart_data"]["time"]) == 3
    assert not any(b"/" in redis.client().hkeys(key) for key in keys(redis, f":factory:{id_}"))
