"""Puts the service together."""

from collections.abc import Callable
from typing import Any

from flask import Flask

from chassis import strictjson
from chassis.db import Transaction
from chassis.web import app as web
from chassis.web import health, openapi
from chassis.web.shortcut import add_shortcut
from event_service.routes import BLUEPRINTS
from event_service.routes.answers import Web, render
from event_service.routes.appender import Appender
from event_service.routes.shortcut import Shortcut
from event_service.routes.watch import Watch
from event_service.settings import Settings
from event_service.store import invariants

VERSION = "0.1.0"


def _none(find: Callable[[Transaction], dict[str, Any] | None]) -> health.Invariant:
    def check(tx: Transaction) -> str | None:
        row = find(tx)
        return strictjson.dumps(row) if row else None

    return check


INVARIANTS = {
    "the positions of a stream are 1, 2, 3 … to its last": _none(invariants.find_broken_position),
    "the sequences of a name are 1, 2, 3 … to its last": _none(invariants.find_broken_sequence),
    "sequences and positions of a name rise together": _none(invariants.find_order_contradiction),
    "no offset is beyond the last sequence": _none(invariants.find_broken_offset),
    "what is parked exists and has been passed by": _none(invariants.find_broken_parked),
}


# Which producer, which consumer, and where: the same body means something else with another.
IDEMPOTENT_HEADERS = ("X-Producer-ID", "X-Consumer-ID", "X-Expected-Position")


def create_app(settings: Settings | None = None) -> Flask:
    """Settings come from the environment where none are given."""
    settings = settings or Settings.load()

    def document() -> dict[str, Any]:
        return openapi.document(
            app,
            title="event-service",
            version=VERSION,
            description="Append-only streams of events, each written by one producer, read at every consumer's pace.",
        )

    blueprints = [*BLUEPRINTS, health.blueprint(document, INVARIANTS)]
    app = web.create_app("event", VERSION, settings, blueprints, render=render, idempotent_headers=IDEMPOTENT_HEADERS)
    database = app.database
    # Set by the server that runs the app, once it does.
    watch = Watch(database, settings.watch_seconds, lambda: app.is_stopping())
    appender = Appender(database, settings.reserved)
    own = Web(appender, watch, settings.nack_limit, settings.live_heartbeat_seconds, settings.reserved)
    app.extensions["event"] = own
    add_shortcut(app, Shortcut(own))
    return app
