"""What is in Redis is served while Postgres has the same version, and reading it there costs no query of a document."""

import concurrent.futures
import time
from datetime import UTC, datetime

import pytest

from factory_service.cache import responses
from factory_service.cache.responses import key_of, pack
from factory_service.operations import sprockets
from factory_service.store import versions
from factory_service.store.replica import ReplicaAwareReader


@pytest.fixture
def queries(monkeypatch):
    """The documents that were read from Postgres, by the id in their parameters."""
    find, seen = ReplicaAwareReader.find, []

    def noted(self, version, sql, params):
        seen.append(params.get("id"))
        return find(self, version, sql, params)

    monkeypatch.setattr(ReplicaAwareReader, "find", noted)
    return seen


def test_a_write_stores_the_new_responses(client, redis, queries, a_factory, a_sprocket):
    id_, sprocket = a_factory(3), a_sprocket()
    parts = ("", "/chart-data", "/production-actual", "/production-goal", "/time")
    assert all(client.get(f"/api/factory/{id_}{part}").status_code == 200 for part in parts)
    client.patch(f"/api/sprocket/{sprocket}", json={"teeth": 77})
    assert b'"teeth":77' in redis.client().get(key_of(f"sprocket:{sprocket}", ""))
    assert client.get(f"/api/sprocket/{sprocket}").json["sprocket"]["teeth"] == 77
    assert client.get("/api/sprockets").json["sprockets"][-1]["teeth"] == 77
    assert client.get("/api/factories").json["count"] == 1
    assert queries == []


def test_what_redis_has_is_not_read_from_postgres(client, a_factory, queries):
    id_ = a_factory(5)
    paths = [
        f"/api/factory/{id_}{part}" for part in ("", "/chart-data", "/time", "/attainment", "/chart-data?points=6")
    ]
    paths += ["/api/factories", "/api/factories?limit=3"]
    first = [client.get(path) for path in paths]
    queries.clear()
    again = [client.get(path) for path in paths]
    matches = [
        client.get(path, headers={"If-None-Match": one.headers["ETag"]}) for path, one in zip(paths, first, strict=True)
    ]
    assert [one.data for one in again] == [one.data for one in first]
    assert [one.headers["ETag"] for one in again] == [one.headers["ETag"] for one in first]
    assert {(one.status_code, one.data) for one in matches} == {(304, b"")}
    assert queries == []


def test_another_replica_sees_each_write(client, another, a_factory, a_sprocket, work):
    other = another.test_client()
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


def test_a_hundred_readers_of_a_cold_key_cost_one_query(app, another, redis, client, a_factory, queries, monkeypatch):
    # On a busy machine the reader that queries for all is slow, not dead.
    monkeypatch.setattr(responses, "FILL_SECONDS", 120)
    id_ = a_factory(1000)
    redis.client().flushall()
    readers = [(app if number % 2 else another).test_client() for number in range(100)]
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda reader: reader.get(f"/api/factory/{id_}"), readers))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.data for answer in answers}) == 1
    assert queries == [id_]


def test_readers_that_arrive_together_share_a_statement(app, client, a_sprocket, monkeypatch, eventually):
    statements, let_go = [], concurrent.futures.Future()
    find = versions.find_versions

    def slowly(tx, things):
        statements.append(sorted(things))
        let_go.result(60)
        return find(tx, things)

    ids = [a_sprocket(teeth) for teeth in range(1, 9)]
    monkeypatch.setattr("factory_service.cache.versions.find_versions", slowly)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        reading = [pool.submit(app.test_client().get, f"/api/sprocket/{ids[0]}")]
        eventually(lambda: statements)
        reading += [pool.submit(app.test_client().get, f"/api/sprocket/{id_}") for id_ in [*ids[1:], 10**15]]
        eventually(lambda: len(app.extensions["responses"]._lookups._waiting) == 8)
        let_go.set_result(None)
        outcomes = [answer.result() for answer in reading]
    assert [answer.json["sprocket"]["id"] for answer in outcomes[:-1]] == ids
    assert outcomes[-1].status_code == 404
    assert [len(things) for things in statements] == [1, 8]


@pytest.mark.parametrize("is_flushed", [False, True])
def test_what_a_slow_reader_stores_late_is_not_served(app, client, redis, a_sprocket, monkeypatch, is_flushed):
    """It reads from Postgres, a write begins and ends, and only then it stores what it has read."""
    find = ReplicaAwareReader.find
    id_ = a_sprocket(1)
    redis.client().flushall()

    def slowly(self, version, sql, params):
        row = find(self, version, sql, params)
        if not hasattr(slowly, "is_over"):
            slowly.is_over = True
            assert client.patch(f"/api/sprocket/{id_}", json={"teeth": 2}).status_code == 200
            if is_flushed:
                redis.client().flushall()
        return row

    monkeypatch.setattr(ReplicaAwareReader, "find", slowly)
    assert app.test_client().get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1
    assert b'"teeth":1' in redis.client().get(key_of(f"sprocket:{id_}", ""))
    assert app.test_client().get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 2


def test_a_writer_that_dies_after_its_commit_leaves_nothing_stale(app, db, client, a_sprocket):
    id_ = a_sprocket(1)
    with db.transaction() as tx:
        sprockets.update_sprocket(tx, id_, {"teeth": 2}, None, datetime.now(UTC), "r")
        # Readers that begin before the commit see what was, and store nothing that is served after it.
        assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1
    assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 2
    assert client.get("/api/sprockets").json["sprockets"][0]["teeth"] == 2


def test_a_write_that_is_rolled_back_changes_nothing(db, client, queries, a_sprocket):
    id_ = a_sprocket(1)
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        sprockets.update_sprocket(tx, id_, {"teeth": 2}, None, datetime.now(UTC), "r")
        raise ZeroDivisionError
    assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1
    assert queries == []


def test_versions_that_are_counted_again_are_not_taken_for_each_other(client, db, a_sprocket):
    """As after a restore from a dump: the number of the version comes a second time, with another document."""
    id_ = a_sprocket(1)
    with db.transaction() as tx:
        dumped = tx.one("SELECT version, mark FROM sprockets WHERE id = %(id)s", id=id_)
    for _ in range(2):
        lost = client.patch(f"/api/sprocket/{id_}", json={"teeth": 2})
        client.get("/api/sprockets")
        with db.transaction() as tx:
            tx.run("UPDATE sprockets SET teeth = 1, version = %(version)s, mark = %(mark)s WHERE id = %(id)s",
                   id=id_, **dumped)  # fmt: skip
            tx.run("UPDATE collections SET version = version - 1")
        assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1
        other = client.put(f"/api/sprocket/{id_}/update/3/6/7/1")
        assert other.headers["ETag"] != lost.headers["ETag"]
        assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 3
        assert client.get("/api/sprockets").json["sprockets"][0]["teeth"] == 3


def test_another_database_behind_the_same_redis_is_not_read(client, redis, a_sprocket):
    id_ = a_sprocket(1)
    redis.client().set(key_of(f"sprocket:{id_}", ""), pack("1-other", b'{"sprocket":"another"}'))
    assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1


def test_what_redis_holds_expires(client, redis, a_sprocket):
    id_ = a_sprocket(1)
    assert 0 < redis.client().ttl(key_of(f"sprocket:{id_}", "")) <= 86400


def test_a_reader_that_dies_while_it_fills_a_key_is_not_waited_for_long(client, redis, a_sprocket):
    id_ = a_sprocket(1)
    redis.client().flushall()
    redis.client().set(f"{key_of(f'sprocket:{id_}', '')}:lock", "1", px=3000)
    began = time.monotonic()
    assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == 1
    assert time.monotonic() - began < 6


def test_what_is_too_large_is_read_from_postgres_each_time(client, redis, a_factory, queries, monkeypatch):
    id_ = a_factory(3)
    monkeypatch.setattr(responses, "MAX_BYTES", 100)
    redis.client().flushall()
    for _ in range(3):
        assert len(client.get(f"/api/factory/{id_}").json["factory"]["chart_data"]["time"]) == 3
    assert queries == [id_] * 3
    assert redis.client().get(key_of(f"factory:{id_}", "")).endswith(b"\n")
