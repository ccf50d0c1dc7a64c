"""The application factory of the sequence-service."""

from chassis.web import app as web
from chassis.web import health
from sequence_service.routes import API, BLUEPRINTS
from sequence_service.routes.built_in import BATCHERS_KEY, create_batchers
from sequence_service.settings import Settings
from sequence_service.store.invariants import INVARIANTS
from sequence_service.store.traces import TRACE


def create_app(settings: Settings | None = None) -> web.App:
    """Return the service's app; without `settings`, load them from the environment."""
    settings = settings or Settings.load()

    app = web.create_app("sequence", settings, [*BLUEPRINTS, health.blueprint(API, INVARIANTS, TRACE)])
    app.extensions[BATCHERS_KEY] = create_batchers(app.database)
    return app
