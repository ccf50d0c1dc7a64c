"""Redis serves a response without a document query while Postgres has the same version, and never a stale response."""

import concurrent.futures
from datetime import UTC, datetime

import pytest

from factory_service.cache import response_cache
from factory_service.cache.client import RedisClient
from factory_service.cache.response_cache import cache_key, pack
from factory_service.operations import sprockets
from factory_service.store import versions
from factory_service.store.replica import ReplicaAwareReader


@pytest.fixture
def document_queries(monkeypatch):
    """The version that each document query sent to Postgres expects."""
    find, queries = ReplicaAwareReader.find, []

    def recording_find(self, version, query):
        queries.append(version)
        return find(self, version, query)

    monkeypatch.setattr(ReplicaAwareReader, "find", recording_find)
    return queries


def test_write_caches_the_new_responses(client, redis, document_queries, a_factory, a_sprocket):
    id_, sprocket = a_factory(3), a_sprocket()
    parts = ("", "/chart-data", "/production-actual", "/production-goal", "/time")
    assert all(client.get(f"/api/factory/{id_}{part}").status_code == 200 for part in parts)
    client.patch(f"/api/sprocket/{sprocket}", json={"teeth": 77})
    assert b'"teeth":77' in redis.client().get(cache_key(f"sprocket:{sprocket}", ""))
    assert client.get(f"/api/sprocket/{sprocket}").json["sprocket"]["teeth"] == 77
    assert client.get("/api/sprockets").json["sprockets"][-1]["teeth"] == 77
    assert client.get("/api/factories").json["count"] == 1
    assert document_queries == []


def test_cached_responses_are_served_without_document_query(client, a_factory, document_queries):
    id_ = a_factory(5)
    paths = [
        f"/api/factory/{id_}{part}" for part in ("", "/chart-data", "/time", "/attainment", "/chart-data?points=6")
    ]
    paths += ["/api/factories", "/api/factories?limit=3"]
    first = [client.get(path) for path in paths]
    document_queries.clear()
    repeated = [client.get(path) for path in paths]
    not_modified = [
        client.get(path, headers={"If-None-Match": response.headers["ETag"]})
        for path, response in zip(paths, first, strict=True)
    ]
    assert [response.data for response in repeated] == [response.data for response in first]
    assert [response.headers["ETag"] for response in repeated] == [response.headers["ETag"] for response in first]
    assert {(response.status_code, response.data) for response in not_modified} == {(304, b"")}
    assert document_queries == []


def test_second_replica_sees_each_write(client, second_app, a_factory, a_sprocket, run_jobs):
    second_client = second_app.test_client()
    id_, sprocket = a_factory(1), a_sprocket()
    for teeth in range(1, 20):
        client.patch(f"/api/sprocket/{sprocket}", json={"teeth": teeth})
        assert second_client.get(f"/api/sprocket/{sprocket}").json["sprocket"]["teeth"] == teeth
        assert second_client.get("/api/sprockets").json["sprockets"][-1]["teeth"] == teeth
    for moment in range(1, 5):
        client.post(f"/api/factory/{id_}/production", json={"time": moment, "actual": moment, "goal": 0})
        run_jobs()
        times = second_client.get(f"/api/factory/{id_}/time").json["time"]
        assert times[:moment] == list(range(1, moment + 1))
        (factory,) = second_client.get("/api/factories").json["factories"]
        assert len(factory["factory"]["chart_data"]["time"]) == moment + 1


def test_hundred_concurrent_readers_of_an_uncached_response_cause_one_query(
    app, second_app, redis, client, a_factory, document_queries, monkeypatch
):
    # On a busy machine the reader that holds the lock may be slow; its lock must not expire.
    monkeypatch.setattr(response_cache, "LOCK_SECONDS", 120)
    id_ = a_factory(1000)
    redis.client().flushall()
    readers = [(app if number % 2 else second_app).test_client() for number in range(100)]
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        responses = list(pool.map(lambda reader: reader.get(f"/api/factory/{id_}"), readers))
    assert {response.status_code for response in responses} == {200}
    assert len({response.data for response in responses}) == 1
    assert len(document_queries) == 1


def test_concurrent_readers_share_a_version_query(app, client, a_sprocket, monkeypatch, eventually):
    queries, may_continue = [], concurrent.futures.Future()
    find_versions = versions.find_versions

    def find_versions_slowly(tx, resources):
        queries.append(sorted(resources))
        may_continue.result(60)
        return find_versions(tx, resources)

    ids = [a_sprocket(teeth) for teeth in range(1, 9)]
    monkeypatch.setattr("factory_service.cache.current_versions.find_versions", find_versions_slowly)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(app.test_client().get, f"/api/sprocket/{ids[0]}")]
        eventually(lambda: queries)
        futures += [pool.submit(app.test_client().get, f"/api/sprocket/{id_}") for id_ in [*ids[1:], 10**15]]
        eventually(lambda: len(app.extensions["responses"]._lookups._waiting) == 8)
        may_continue.set_result(None)
        responses = [future.result() for future in futures]
    assert [response.json["sprocket"]["id"] for response in responses[:-1]] == ids
    assert responses[-1].status_code == 404
    assert [len(resources) for resources in queries] == [1, 8]


@pytest.mark.parametrize("is_flushed", [False, True], ids=["Redis keeps its data", "Redis is flushed"])
def test_outdated_response_cached_by_a_slow_reader_is_not_served(
    app, client, redis, a_sprocket, monkeypatch, is_flushed
):
    """A write begins and ends between the reader's query in Postgres and its write to Redis."""
    find = ReplicaAwareReader.find
    id_ = a_sprocket(1)
    redis.client().flushall()
    writes = []

    def find_then_write(self, version, query):
        row = find(self, version, query)
        if not writes:
            writes.append(client.patch(f"/api/sprocket/{id_}", json={"teeth": 2}))
            assert writes[0].status_code == 200
            if is_flushed:
                redis.client().flushall()
        return row

    monkeypatch.setattr(ReplicaAwareReader, "find", find_then_write)
    assert app.test_client().get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1
    assert b'"teeth":1' in redis.client().get(cache_key(f"sprocket:{id_}", ""))
    assert app.test_client().get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 2


def test_write_that_does_not_reach_redis_leaves_nothing_stale(app, db, client, a_sprocket):
    id_ = a_sprocket(1)
    with db.transaction() as tx:
        sprockets.update_sprocket(tx, id_, {"teeth": 2}, None, datetime.now(UTC), "r")
        # Readers that begin before the commit see the old value and cache nothing that is served after it.
        assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1
    assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 2
    assert client.get("/api/sprockets").json["sprockets"][0]["teeth"] == 2


def test_rolled_back_write_keeps_cached_responses_valid(db, client, document_queries, a_sprocket):
    id_ = a_sprocket(1)
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        sprockets.update_sprocket(tx, id_, {"teeth": 2}, None, datetime.now(UTC), "r")
        raise ZeroDivisionError
    assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1
    assert document_queries == []


def test_version_number_that_is_reused_does_not_match_the_old_version(client, db, a_sprocket):
    """After a restore from a dump, Postgres assigns the same version number to a different document."""
    id_ = a_sprocket(1)
    with db.transaction() as tx:
        dump = tx.one("SELECT version, mark FROM sprockets WHERE id = %(id)s", id=id_)
    for _ in range(2):
        lost = client.patch(f"/api/sprocket/{id_}", json={"teeth": 2})
        client.get("/api/sprockets")
        with db.transaction() as tx:
            tx.run("UPDATE sprockets SET teeth = 1, version = %(version)s, mark = %(mark)s WHERE id = %(id)s",
                   id=id_, **dump)  # fmt: skip
            tx.run("UPDATE collections SET version = version - 1")
        assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1
        updated = client.put(f"/api/sprocket/{id_}/update/3/6/7/1")
        assert updated.headers["ETag"] != lost.headers["ETag"]
        assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 3
        assert client.get("/api/sprockets").json["sprockets"][0]["teeth"] == 3


def test_response_cached_for_another_database_is_not_served(client, redis, a_sprocket):
    id_ = a_sprocket(1)
    redis.client().set(cache_key(f"sprocket:{id_}", ""), pack("1-other", b'{"sprocket":"another"}'))
    assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1


def test_cached_responses_expire(client, redis, a_sprocket):
    id_ = a_sprocket(1)
    assert 0 < redis.client().ttl(cache_key(f"sprocket:{id_}", "")) <= 86400


def test_lock_of_a_dead_reader_delays_others_only_until_it_expires(client, redis, a_sprocket):
    id_ = a_sprocket(1)
    redis.client().flushall()
    redis.client().set(f"{cache_key(f'sprocket:{id_}', '')}:lock", "1", px=3000)
    assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1


def test_reader_whose_lock_expired_does_not_release_that_of_the_next_reader(redis, eventually):
    first, second = (RedisClient(redis.url, 60) for _ in range(2))
    expired, _ = first.lock_and_find("key", 0.001)
    lock, _ = eventually(lambda: (acquired := second.lock_and_find("key", 60))[0] and acquired)
    first.store_and_unlock({}, expired)
    assert first.lock_and_find("key", 60) == (None, None)
    second.store_and_unlock({"key": b"value"}, lock)
    reacquired, value = first.lock_and_find("key", 60)
    assert (reacquired is not None, value) == (True, b"value")


def test_response_too_large_to_cache_is_read_from_postgres_each_time(
    client, redis, a_factory, document_queries, monkeypatch
):
    id_ = a_factory(3)
    monkeypatch.setattr(response_cache, "MAX_CACHED_BYTES", 100)
    redis.client().flushall()
    for _ in range(3):
        assert len(client.get(f"/api/factory/{id_}").json["factory"]["chart_data"]["time"]) == 3
    assert len(document_queries) == 3
    assert redis.client().get(cache_key(f"factory:{id_}", "")).endswith(b"\n")
