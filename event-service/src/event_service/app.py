"""Puts the service together."""

from chassis.web import app as web
from chassis.web import health
from chassis.web.health import no_row
from event_service.batcher import create_append_batcher
from event_service.cache import SchemaCache
from event_service.poller import AppendPoller
from event_service.routes import BLUEPRINTS
from event_service.routes.context import Context
from event_service.routes.responses import render
from event_service.settings import Settings
from event_service.store import invariants

DESCRIPTION = "Append-only streams of events, each written by one producer, read at every consumer's pace."


INVARIANTS = {
    "the positions of a stream are 1, 2, 3 … to its last": no_row(invariants.find_broken_position),
    "the sequences of a name are 1, 2, 3 … to its last": no_row(invariants.find_broken_sequence),
    "sequences and positions of a name rise together": no_row(invariants.find_order_contradiction),
    "no offset is beyond the last sequence": no_row(invariants.find_broken_offset),
    "what is parked exists and has been passed by": no_row(invariants.find_broken_parked),
}

# Which producer, which consumer, and where: the same body means something else with another.
IDEMPOTENT_HEADERS = ("X-Producer-ID", "X-Consumer-ID", "X-Expected-Position")


def create_app(settings: Settings | None = None) -> web.App:
    """Settings come from the environment where none are given."""
    settings = settings or Settings.load()

    blueprints = [*BLUEPRINTS, health.blueprint(DESCRIPTION, INVARIANTS)]
    app = web.create_app("event", settings, blueprints, render=render, idempotent_headers=IDEMPOTENT_HEADERS)
    # Set by the server that runs the app, once it does.
    poller = AppendPoller(app.database, settings.watch_seconds, lambda: app.is_stopping())
    app.extensions["event"] = Context(settings, create_append_batcher(app.database), SchemaCache(), poller)
    return app
