"""The metric of the responses that the cache was queried for."""

import pytest

from factory_service.app import create_app


@pytest.fixture
def count_during(app):
    """Return a function that returns how often each result was counted while `send` ran."""

    def counts():
        results = ("hit", "miss", "stale", "error")
        value = app.metrics.registry.get_sample_value
        return {result: value("quintet_cache_requests_total", {"result": result}) or 0 for result in results}

    def count(send):
        before = counts()
        send()
        after = counts()
        return {result: after[result] - before[result] for result in after if after[result] != before[result]}

    return count


def test_hits_and_misses_are_counted(client, redis, a_sprocket, count_during):
    path = f"/api/sprocket/{a_sprocket()}"
    redis.client().flushall()
    assert count_during(lambda: client.get(path)) == {"miss": 1}
    assert count_during(lambda: [client.get(path), client.get(path)]) == {"hit": 2}
    assert count_during(lambda: client.get("/api/sprocket/999999")) == {}


def test_unavailable_redis_and_postgres_are_counted(settings, start_redis, db, client, a_sprocket):
    path = f"/api/sprocket/{a_sprocket()}"
    own_redis = start_redis()
    app = create_app(settings.model_copy(update={"redis_url": own_redis.url}))

    def count(result):
        return app.metrics.registry.get_sample_value("quintet_cache_requests_total", {"result": result})

    app.test_client().get(path)
    unreachable = "postgresql://u:p@127.0.0.1:1/x"
    without_postgres = create_app(settings.model_copy(update={"redis_url": own_redis.url, "database_url": unreachable}))
    assert without_postgres.test_client().get(path).status_code == 200
    name = "quintet_cache_requests_total"
    assert without_postgres.metrics.registry.get_sample_value(name, {"result": "stale"}) == 1
    own_redis.kill()
    assert app.test_client().get(path).status_code == 200
    assert (count("miss"), count("error")) == (1, 1)
