"""Puts the service together."""

from collections.abc import Callable
from typing import Any

from flask import Flask

from chassis import strictjson
from chassis.db import Database, Transaction
from chassis.errors import Unavailable
from chassis.web import app as web
from chassis.web import health, openapi
from chassis.web.shortcut import add_shortcut
from factory_service.cache.answers import Answers
from factory_service.cache.connection import Away, Redis
from factory_service.cache.trust import Trust
from factory_service.domain.tags import version_in
from factory_service.routes import BLUEPRINTS
from factory_service.routes.answers import Web
from factory_service.routes.loads import FILE
from factory_service.routes.shortcut import Shortcut
from factory_service.settings import Settings
from factory_service.store import invariants
from factory_service.store.reading import Sources

VERSION = "0.1.0"


def _none(find: Callable[[Transaction], dict[str, Any] | None]) -> health.Invariant:
    def check(tx: Transaction) -> str | None:
        row = find(tx)
        return strictjson.dumps(row) if row else None

    return check


def _nothing_stale(answers: Answers) -> health.Invariant:
    """Redis is asked after Postgres, so it may be ahead of it, never behind."""

    def check(tx: Transaction) -> str | None:
        versions = dict(invariants.list_versions(tx))
        kept = answers.find_tags(list(versions))
        stale = [entity for entity, tag in kept.items() if version_in(tag) < versions[entity]]
        return f"older in Redis than in Postgres: {', '.join(sorted(stale)[:10])}" if stale else None

    return check


def create_app(settings: Settings | None = None) -> Flask:
    """Settings come from the environment where none are given."""
    settings = settings or Settings.load()
    redis = Redis(settings.redis_url, settings.redis_timeout_seconds) if settings.redis_url else None
    # Its own connection: what Redis is believed on must not wait behind requests.
    trust = Trust(_database(settings.database_url, "trust", 1), redis) if redis else None
    answers = Answers(redis, trust)

    checks = {"redis": _asks(redis)} if redis else {}
    # With Redis, what was read before can still be answered while Postgres is away.
    vital = [frozenset({"postgres", "redis"} if redis else {"postgres"})]
    must_hold = {
        "every factory has as many points as it says": _none(invariants.find_wrong_count),
        "every point belongs to a factory": _none(invariants.find_stray_points),
        "every point is within the bounds": _none(invariants.find_point_out_of_bounds),
        "what was loaded is here": _none(invariants.find_loaded_and_gone),
        "no number is beyond the last that was taken": _none(invariants.find_number_beyond_last),
        "nothing in Redis is older than in Postgres": _nothing_stale(answers),
    }
    app = web.create_app(
        "factory", VERSION, settings, [*BLUEPRINTS, health.blueprint(lambda: _document(app), must_hold, checks, vital)]
    )
    follower = (
        _database(settings.read_database_url, "follower", settings.pool_size) if settings.read_database_url else None
    )
    own = Web(answers, Sources(app.database, follower))
    app.extensions["factory"] = own
    add_shortcut(app, Shortcut(own))
    return app


def _document(app: Flask) -> dict[str, Any]:
    described = openapi.document(
        app,
        title="factory-service",
        version=VERSION,
        description="Factories, their production over time, and their sprockets: read far more than written.",
    )
    described["paths"]["/api/factories/load"]["post"]["requestBody"] = FILE
    return described


def _database(url: str, what: str, size: int) -> Database:
    return Database(url, name=f"factory-{what}", size=size, wait_seconds=3)


def _asks(redis: Redis) -> health.Check:
    def check(_app: web.App) -> dict[str, Any]:
        try:
            redis.ask(redis.run_id(), ("PING",))
        except Away:
            raise Unavailable("Redis does not answer") from None
        return {}

    return check
