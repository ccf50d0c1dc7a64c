"""Assembles the service."""

from typing import Any

from chassis.db import Database
from chassis.errors import Unavailable
from chassis.web import app as web
from chassis.web import health
from factory_service.cache.client import RedisClient, RedisUnavailable
from factory_service.cache.current_versions import CurrentVersions
from factory_service.cache.response_cache import ResponseCache
from factory_service.routes import API, BLUEPRINTS
from factory_service.settings import Settings
from factory_service.store.invariants import INVARIANTS
from factory_service.store.replica import ReplicaAwareReader
from factory_service.store.traces import TRACE


def create_app(settings: Settings | None = None) -> web.App:
    """Create the app; its settings come from the environment unless they are passed."""
    settings = settings or Settings.load()
    redis = RedisClient(settings.redis_url, settings.redis_timeout_seconds) if settings.redis_url else None
    checks = {"redis": _ping(redis)} if redis else {}
    # With Redis, cached responses are served even while Postgres is down.
    vital = [frozenset({"postgres", "redis"} if redis else {"postgres"})]
    blueprints = [*BLUEPRINTS, health.blueprint(API, INVARIANTS, TRACE, checks, vital)]
    app = web.create_app("factory", settings, blueprints)
    app.extensions["redis"] = redis
    app.extensions["responses"] = _response_cache(settings, redis, app)
    return app


def _response_cache(settings: Settings, redis: RedisClient | None, app: web.App) -> ResponseCache:
    def database(url: str, purpose: str, size: int) -> Database:
        return Database(url, name=f"factory-{purpose}", size=size, wait_seconds=3, metrics=app.metrics)

    versions = CurrentVersions(database(settings.database_url, "versions", 1))
    replica_url = settings.read_database_url
    replica = database(replica_url, "replica", settings.pool_size) if replica_url else None
    requests = app.metrics.counter("cache_requests_total", "Responses that the cache was queried for", ["result"])
    return ResponseCache(redis, versions, ReplicaAwareReader(app.database, replica), requests)


def _ping(redis: RedisClient) -> health.Check:
    def check(_app: web.App) -> dict[str, Any]:
        try:
            redis.ping()
        except RedisUnavailable:
            raise Unavailable("Redis is unreachable") from None
        return {}

    return check
