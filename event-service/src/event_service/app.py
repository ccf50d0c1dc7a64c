"""The application factory of the event-service."""

from chassis.web import app as web
from chassis.web import health
from event_service.batcher import create_append_batcher
from event_service.cache import SchemaCache
from event_service.poller import AppendPoller
from event_service.routes import API, BLUEPRINTS
from event_service.routes.context import Context
from event_service.routes.responses import render
from event_service.settings import Settings
from event_service.store.invariants import INVARIANTS
from event_service.store.traces import TRACE

# The same body with a different value of one of these headers is a different request.
IDEMPOTENT_HEADERS = ("X-Producer-ID", "X-Consumer-ID", "X-Expected-Position")


def create_app(settings: Settings | None = None) -> web.App:
    """Return the service's app; without `settings`, load them from the environment."""
    settings = settings or Settings.load()

    blueprints = [*BLUEPRINTS, health.blueprint(API, INVARIANTS, TRACE)]
    app = web.create_app("event", settings, blueprints, render=render, idempotent_headers=IDEMPOTENT_HEADERS)
    # `is_stopping` is looked up at each call, because the server replaces it when it starts.
    poller = AppendPoller(settings.database_url, lambda: app.is_stopping())
    live_readers = app.metrics.gauge("live_readers", "Clients that wait for events", ["kind"])
    for kind in ("long_poll", "sse"):
        live_readers.labels(kind)
    app.extensions["event"] = Context(
        settings, create_append_batcher(app.database), SchemaCache(), poller, live_readers
    )
    return app
